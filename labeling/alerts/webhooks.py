"""Calling a webhook, signed as Standard Webhooks says (https://www.standardwebhooks.com).

An administrator chooses the addresses, and still they reach public hosts only, unless REVIEWAPP_WEBHOOK_HOSTS names a private
one: a name is looked up once and the connection goes to that very address.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.utils import timezone
from standardwebhooks.webhooks import Webhook

from labeling.alerts.errors import DeliveryError
from labeling.errors import quote, say

_TIMEOUT_S = 5.0


def post_signed(target: str, content: bytes, *, secret: str, message_id: str) -> None:
    """Send JSON to an address. DeliveryError when it may not be reached or does not take it."""
    now = timezone.now()
    headers = {
        "content-type": "application/json",
        "user-agent": "reviewapp",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, content.decode()),
    }
    url = httpx.URL(target)
    address = find_address(url.host, url.port or (443 if url.scheme == "https" else 80))
    headers["host"] = urlsplit(target).netloc
    try:
        # Not by name again: a second look-up might lead somewhere else. The certificate is checked against the name.
        # Nor read to its end: what a webhook answers is of no use here, and might never end.
        with (
            httpx.Client(timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False) as client,
            client.stream(
                "POST",
                url.copy_with(host=address),
                content=content,
                headers=headers,
                extensions={"sni_hostname": url.host},
            ) as answer,
        ):
            is_taken, status = answer.is_success, answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DeliveryError(quote(f"{type(error).__name__}: {error}")) from error
    if not is_taken:
        raise DeliveryError(say("It answered {status}.", status=status))


def find_address(host: str, port: int) -> str:
    """The address of a host that may be told: a public one, or any of a host that the settings name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryError(say("{host} has no address: {error}", host=host, error=str(error))) from error
    addresses = [str(entry[4][0]) for entry in found]
    if host not in settings.REVIEWAPP_WEBHOOK_HOSTS and not all(map(_is_public, addresses)):
        raise DeliveryError(
            say("{host} is not a public address; REVIEWAPP_WEBHOOK_HOSTS may name it.", host=host)
        )
    return addresses[0]


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_global and not parsed.is_multicast
