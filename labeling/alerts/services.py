"""Opening, seeing again, closing and acknowledging alerts; and who is told of them.

Any stage above may call `raise_alert` inside its own transaction: the alert and the messages about it are rows, and sending
them is the sweep's work (`delivery`). Nothing here waits for a mail server.
"""

import base64
import secrets
from collections.abc import Collection
from datetime import datetime
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from psycopg.types.json import Jsonb

from labeling.alerts.models import Alert, AlertDelivery, AlertKind, AlertRecipient, Channel, DeliveryState
from labeling.errors import ConflictError, NotFoundError, Sentence, invalid, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.projects.access import Permission, require, require_admin
from labeling.projects.models import Project
from labeling.sentences import shortened, stored

__all__ = ["acknowledge", "add_recipient", "close_alert", "close_unseen", "raise_alert", "remove_recipient"]

MAX_DETAIL = 2_000

# Two who see the same at once: one opens the alert, the other one sees it again.
_RAISE = """
    insert into labeling_alert (project_id, kind, subject, detail, said, opened_at, seen_at)
    values (%(project)s, %(kind)s, %(subject)s, %(detail)s, %(said)s, %(now)s, %(now)s)
    on conflict (kind, subject) where closed_at is null
    do update set times = labeling_alert.times + 1, seen_at = excluded.seen_at, detail = excluded.detail,
        said = excluded.said
    returning id, xmax = 0
"""


def raise_alert(
    *,
    kind: AlertKind,
    subject: str,
    detail: Sentence,
    project_id: int | None = None,
    now: datetime | None = None,
) -> int:
    """Say that something is wrong; the alert's id. While it is open, saying it again changes its time and words only."""
    now = now or timezone.now()
    columns = stored(detail=shortened(detail, MAX_DETAIL))
    columns["said"] = columns["said"] and Jsonb(columns["said"])
    values = {"project": project_id, "kind": kind.value, "subject": subject, "now": now, **columns}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_RAISE, values)
        alert_id, is_new = cursor.fetchone()
        if is_new:
            _tell(alert_id, kind, project_id, AlertDelivery.Event.OPENED)
    return int(alert_id)


@transaction.atomic
def close_alert(*, kind: AlertKind, subject: str, now: datetime | None = None) -> bool:
    """Say that it is over; False when nothing was open. Those who were told of its beginning are told."""
    alert = Alert.objects.select_for_update().filter(kind=kind, subject=subject, closed_at=None).first()
    if alert is None:
        return False
    alert.closed_at = now or timezone.now()
    alert.save(update_fields=["closed_at"])
    _tell(alert.pk, kind, alert.project_id, AlertDelivery.Event.CLOSED)
    return True


def close_unseen(*, kinds: Collection[AlertKind], since: datetime) -> int:
    """Close the open alerts of these kinds that were not seen since; how many."""
    unseen = Alert.objects.filter(kind__in=kinds, closed_at=None, seen_at__lt=since)
    found = list(unseen.values_list("kind", "subject"))
    return sum(close_alert(kind=AlertKind(kind), subject=subject) for kind, subject in found)


@transaction.atomic
def acknowledge(*, alert_id: int, by: Actor) -> Alert:
    """Say that somebody looks after it. Said again, the first one stays."""
    alert = get_alert(by, alert_id)
    if alert.acknowledged_at is None:
        alert.acknowledged_at = timezone.now()
        alert.acknowledged_by_id = by.user_id
        alert.save(update_fields=["acknowledged_at", "acknowledged_by"])
        record_event(
            action="alert.acknowledged",
            subject=f"alert:{alert.pk}",
            by=by,
            project_id=alert.project_id,
            kind=alert.kind,
            about=alert.subject,
        )
    return alert


def get_alert(by: Actor, alert_id: int) -> Alert:
    """An alert of a project this person leads, or any for an administrator; NotFoundError otherwise. Locked."""
    locked = Alert.objects.select_for_update(of=("self",)).select_related("acknowledged_by", "project")
    alert = locked.filter(pk=alert_id).first() if 0 <= alert_id < 2**63 else None
    if alert is None or (alert.project_id is None and not by.is_admin):
        raise NotFoundError("not_found", say("There is no such alert."))
    if alert.project_id is None:
        require_admin(by)
    else:
        require(by, alert.project_id, Permission.LEAD)
    return alert


@transaction.atomic
def add_recipient(
    *, channel: str, address: str, kinds: Collection[str], project: Project | None, by: Actor
) -> AlertRecipient:
    """Tell somebody from now on. A webhook's secret is made here and shown to whoever adds it."""
    require_admin(by)
    address = address.strip()
    _check_address(channel, address)
    wrong = sorted(set(kinds) - set(AlertKind.values))
    if wrong:
        raise invalid("/kinds", "invalid", say("there is no alert {wrong!r}", wrong=wrong[0]))
    secret = ""
    if channel == Channel.WEBHOOK:
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    try:
        with transaction.atomic():
            recipient = AlertRecipient.objects.create(
                channel=channel,
                address=address,
                kinds=sorted(set(kinds)),
                project=project,
                secret=secret,
                created_by_id=by.user_id,
            )
    except IntegrityError as error:
        raise ConflictError("exists", say("This recipient is told already.")) from error
    record_event(
        action="alert_recipient.added",
        subject=f"alert_recipient:{recipient.pk}",
        by=by,
        project_id=recipient.project_id,
        channel=channel,
        address=address,
    )
    return recipient


@transaction.atomic
def remove_recipient(*, recipient_id: int, by: Actor) -> None:
    """Tell them nothing more; what was on its way is dropped."""
    require_admin(by)
    recipient = AlertRecipient.objects.filter(pk=recipient_id, removed_at=None).first()
    if recipient is None:
        raise NotFoundError("not_found", say("There is no such recipient."))
    recipient.removed_at = timezone.now()
    recipient.save(update_fields=["removed_at"])
    recipient.deliveries.filter(state=DeliveryState.WAITING).update(
        state=DeliveryState.FAILED, **stored(error=say("The recipient was removed."))
    )
    record_event(
        action="alert_recipient.removed",
        subject=f"alert_recipient:{recipient.pk}",
        by=by,
        project_id=recipient.project_id,
        channel=recipient.channel,
        address=recipient.address,
    )


def send_test(*, by: Actor) -> int:
    """An alert that is over at once, so that recipients can see that messages arrive."""
    require_admin(by)
    subject = f"user:{by.user_id}"
    alert_id = raise_alert(
        kind=AlertKind.TEST, subject=subject, detail=say("This is a test; nothing is wrong.")
    )
    close_alert(kind=AlertKind.TEST, subject=subject)
    return alert_id


def _tell(alert_id: int, kind: AlertKind, project_id: int | None, event: AlertDelivery.Event) -> None:
    """A message to everybody who wants this kind. The end is told to those who were told of the beginning."""
    recipients = AlertRecipient.objects.filter(
        Q(project=None) | Q(project_id=project_id), Q(kinds=[]) | Q(kinds__contains=[kind]), removed_at=None
    )
    if event == AlertDelivery.Event.CLOSED:
        recipients = recipients.filter(deliveries__alert_id=alert_id)
    AlertDelivery.objects.bulk_create(
        [AlertDelivery(alert_id=alert_id, recipient=recipient, event=event) for recipient in recipients],
        ignore_conflicts=True,
    )


def _check_address(channel: str, address: str) -> None:
    if channel == Channel.EMAIL:
        try:
            validate_email(address)
        except ValidationError as error:
            raise invalid("/address", "invalid", say("this is not an e-mail address")) from error
        return
    if channel != Channel.WEBHOOK:
        raise invalid("/channel", "invalid", say("a channel is email or webhook"))
    try:
        parts = urlsplit(address)
        fits = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or len(address) > 500 or not address.isascii() or " " in address or parts.username:
        raise invalid("/address", "invalid", say("a webhook is an https URL without user name and password"))
