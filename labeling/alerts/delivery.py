"""Sending what waits to be sent, at least once: a message is marked as tried before it is sent and as sent afterwards.

A worker that dies in between sends it again, with the same id.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone
from django.utils.translation import override

from labeling.alerts.errors import DeliveryError
from labeling.alerts.models import AlertDelivery, Channel, DeliveryState
from labeling.errors import Sentence, quote, say
from labeling.sentences import shortened, stored

logger = logging.getLogger(__name__)
MOST_ATTEMPTS = 20
MAX_ERROR = 1_000
_AT_ONCE = 50
_FIRST_PAUSE = timedelta(seconds=15)
_LONGEST_PAUSE = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a round of sending came to."""

    sent: int = 0
    failed: int = 0


def deliver_due(now: datetime | None = None) -> Sent:
    """Try every message whose time has come; several workers may do so at once."""
    now = now or timezone.now()
    sent = failed = 0
    for _ in range(_AT_ONCE):
        delivery = _take(now)
        if delivery is None:
            break
        try:
            _send(delivery)
        except DeliveryError as error:
            failed += 1
            _keep_error(delivery, error.detail)
        except Exception as error:  # an address that nobody foresaw must not hold up the messages to others
            logger.exception("a message about an alert could not be made")
            failed += 1
            _keep_error(delivery, quote(f"{type(error).__name__}: {error}"))
        else:
            sent += 1
            AlertDelivery.objects.filter(pk=delivery.pk).update(
                state=DeliveryState.SENT, sent_at=timezone.now(), **stored(error="")
            )
    return Sent(sent, failed)


def pause_after(attempt: int) -> timedelta:
    """How long to wait after so many attempts: 15 s, 30 s, 1 min, ... at most two hours."""
    return min(_FIRST_PAUSE * int(2 ** (attempt - 1)), _LONGEST_PAUSE)


@transaction.atomic
def _take(now: datetime) -> AlertDelivery | None:
    """The next message, marked as tried: whoever dies while sending it leaves it to the next round after the pause."""
    waiting = AlertDelivery.objects.select_for_update(skip_locked=True, of=("self",)).select_related(
        "alert", "alert__project", "recipient"
    )
    delivery = (
        waiting.filter(state=DeliveryState.WAITING, next_try_at__lte=now).order_by("next_try_at").first()
    )
    if delivery is not None:
        delivery.attempt += 1
        delivery.next_try_at = now + pause_after(delivery.attempt)
        delivery.save(update_fields=["attempt", "next_try_at"])
    return delivery


def _keep_error(delivery: AlertDelivery, error: Sentence) -> None:
    over = delivery.attempt >= MOST_ATTEMPTS
    AlertDelivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.FAILED if over else DeliveryState.WAITING,
        **stored(error=shortened(error, MAX_ERROR)),
    )


def _send(delivery: AlertDelivery) -> None:
    if delivery.recipient.removed_at is not None:
        raise DeliveryError(say("The recipient was removed."))
    if delivery.recipient.channel == Channel.EMAIL:
        _send_mail(delivery)
    else:
        # An HTTP client, 15 MB: loaded only where an alert calls for it.
        from labeling.alerts.webhooks import post_signed

        post_signed(
            delivery.recipient.address,
            msgspec.json.encode(body_of(delivery)),
            secret=delivery.recipient.secret,
            message_id=f"msg_{delivery.pk.hex}",
        )


def body_of(delivery: AlertDelivery) -> dict[str, Any]:
    """What a webhook is sent."""
    alert = delivery.alert
    return {
        "type": f"alert.{delivery.event}",
        "timestamp": (alert.closed_at if delivery.event == "closed" else alert.opened_at),
        "data": {
            "id": alert.pk,
            "kind": alert.kind,
            "project": alert.project.slug if alert.project else None,
            "subject": alert.subject,
            "detail": alert.detail,
            "opened_at": alert.opened_at,
            "closed_at": alert.closed_at,
        },
    }


def _send_mail(delivery: AlertDelivery) -> None:
    if not settings.EMAIL_HOST:
        raise DeliveryError(say("No mail server is set (REVIEWAPP_EMAIL_URL)."))
    alert = delivery.alert
    where = f" in {alert.project.slug}" if alert.project else ""
    over = "Over: " if delivery.event == AlertDelivery.Event.CLOSED else ""
    with override("en"):
        words = alert.get_kind_display()
    message = EmailMessage(
        subject=f"[reviewapp] {over}{words}{where}",
        body=f"{alert.detail}\n\n{alert.subject}, since {alert.opened_at:%Y-%m-%d %H:%M} UTC.\n{settings.REVIEWAPP_URL}/alerts/\n",
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[delivery.recipient.address],
        headers={"Message-ID": f"<{delivery.pk}@reviewapp>", "Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except OSError as error:  # smtplib's errors are OSErrors too
        raise DeliveryError(say("The mail server did not take it: {error}", error=str(error))) from error
