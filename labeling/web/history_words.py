"""Events of the history in words: what was done, to what, and the details.

A test holds that whatever the code records has words here. What an older or newer version has recorded is shown as it is.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from labeling.alerts.models import AlertKind
from labeling.history.models import HistoryEvent
from labeling.sentences import restored
from labeling.templatetags.interface import duration
from labeling.web.names import named
from labeling.web.wording import in_language

Words = dict[str, str | Promise]

KINDS: Words = {
    "project": _("project"),
    "policy": _("policy"),
    "autonomy": _("autonomy"),
    "member": _("members"),
    "invitation": _("invitations"),
    "user": _("accounts"),
    "password": _("passwords"),
    "sessions": _("sessions"),
    "key": _("keys"),
    "queue": _("queues"),
    "task": _("tasks"),
    "alert": _("alerts"),
    "alert_recipient": _("who is told of alerts"),
    "claim": _("claims"),
    "dataset": _("datasets"),
    "publication": _("publications"),
    "overflow": _("overflow"),
}
"""What comes before the point of an action, for the filter."""

ACTIONS: Words = {
    "admin.bootstrapped": _("made the first account"),
    "alert.acknowledged": _("took note of an alert"),
    "alert_recipient.added": _("added who is told of alerts"),
    "alert_recipient.removed": _("removed who is told of alerts"),
    "autonomy.accepted": _("accepted a level of autonomy"),
    "autonomy.lowered": _("lowered autonomy"),
    "autonomy.resumed": _("resumed autonomy"),
    "autonomy.stopped": _("stopped everything automatic"),
    "claim.taken_back": _("took a claim back"),
    "dataset.publication_requested": _("asked for a dataset version"),
    "dataset.stuck_retried": _("tried a stuck dataset again"),
    "dataset.tagged": _("tagged a dataset version"),
    "dataset.untagged": _("took a tag off"),
    "invitation.accepted": _("joined by invitation"),
    "invitation.made": _("invited somebody"),
    "invitation.renewed": _("renewed an invitation"),
    "invitation.withdrawn": _("withdrew an invitation"),
    "key.created": _("made a key"),
    "key.revoked": _("revoked a key"),
    "ledger.check_asked": _("asked for a check of the ledger"),
    "member.removed": _("removed a member"),
    "member.set": _("set a role"),
    "overflow.ended": _("overflow over"),
    "overflow.started": _("too much work: the overflow rule began"),
    "password.changed": _("changed the password"),
    "password.link_made": _("made a password link"),
    "policy.published": _("published a policy"),
    "project.changed": _("changed the project"),
    "project.created": _("made the project"),
    "publication.failed": _("could not publish"),
    "queue.deadline_set": _("set a deadline"),
    "sessions.ended": _("signed out everywhere"),
    "task.reopened": _("reopened a task"),
    "user.changed": _("changed an account"),
    "user.created": _("made an account"),
    "user.deactivated": _("deactivated an account"),
    "user.reactivated": _("reactivated an account"),
}

SUBJECTS: Words = {
    "alert": _("alert"),
    "alert_recipient": _("recipient of alerts"),
    "dataset": _("dataset"),
    "invitation": _("invitation"),
    "key": _("key"),
    "ledger_run": _("check of the ledger"),
    "policy": _("policy version"),
    "project": _("project"),
    "publication": _("publication"),
    "queue": _("queue"),
    "task": _("task"),
    "user": _("account"),
}
"""What comes before the colon of a subject."""

DETAILS: Words = {
    "about": _("about"),
    "address": _("address"),
    "answered": _("answered by the fallback"),
    "channel": _("how"),
    "count": _("how many"),
    "deadline": _("deadline"),
    "decided_by": _("decided by"),
    "decision": _("decision"),
    "decisions": _("decisions"),
    "email": _("e-mail"),
    "error": _("error"),
    "first_name": _("first name"),
    "guidelines": _("guidelines"),
    "holder": _("held by"),
    "is_active": _("open"),
    "is_staff": _("may use the administration"),
    "is_superuser": _("administrator"),
    "kind": _("kind"),
    "label_schema": _("label schema"),
    "last_name": _("last name"),
    "level": _("level"),
    "member": _("acts as"),
    "mode": _("what happens"),
    "model_version": _("model version"),
    "name": _("name"),
    "note": _("note"),
    "notice": _("notice"),
    "protected": _("protected"),
    "publication": _("publication"),
    "publish_after_decisions": _("published after decisions"),
    "publish_every_seconds": _("published after waiting"),
    "reason": _("reason"),
    "requests_per_second": _("requests a second"),
    "role": _("role"),
    "rows_per_second": _("predictions a second"),
    "scopes": _("may"),
    "since": _("since"),
    "tag": _("tag"),
    "time_zone": _("time zone"),
    "verdict": _("verdict"),
    "version": _("version"),
    "waiting": _("waiting"),
    "waiting_max": _("most that may wait"),
}
NOT_TOLD = frozenset({"before", "after", "body"})
"""Told in another way, or too long for a line."""

ONE_VALUE = {
    "member.removed": "role",
    "member.set": "role",
    "queue.deadline_set": "deadline",
    "user.deactivated": "is_active",
    "user.reactivated": "is_active",
}
"""What `before` and `after` are of, where they are one value and not a mapping of names to values."""

_VALUES: dict[str, Callable[[Any], str]] = {
    "channel": lambda value: named(value, "channel"),
    "deadline": duration,
    "kind": lambda value: str(AlertKind(value).label) if value in AlertKind.values else str(value),
    "mode": lambda value: named(value, "overflow"),
    "publish_every_seconds": duration,
    "role": lambda value: named(value, "role"),
    "scopes": lambda value: named(value, "scope"),
    "verdict": lambda value: named(value, "verdict"),
}
_MOST, _MOST_OF_VALUE = 300, 80


def kind_name(kind: str) -> str:
    """A kind of change in the words of the interface."""
    return str(KINDS.get(kind, kind))


def action_name(action: str) -> str:
    """What was done, in words."""
    return str(ACTIONS.get(action, action))


def subject_name(subject: str) -> str:
    """What it was done to: `user:rita` -> account rita."""
    kind, _colon, name = subject.partition(":")
    if kind not in SUBJECTS:
        return subject
    return gettext("%(kind)s %(name)s") % {"kind": SUBJECTS[kind], "name": name}


def tell_details(event: HistoryEvent) -> str:
    """The details of an event in one line: what changed, from what to what. Long ones are cut, whole bodies left out."""
    details = event.details
    told = [_changed(name, *values) for name, values in _changes(event.action, details).items()]
    told += [
        gettext("%(name)s: %(value)s")
        % {"name": detail_name(name), "value": _value(name, _said(event, name))}
        for name, value in details.items()
        if name not in NOT_TOLD and value not in (None, "", {}, [])
    ]
    return _cut("; ".join(told), _MOST)


def detail_name(name: str) -> str:
    """What a detail is called."""
    return str(DETAILS.get(name, name))


def _said(event: HistoryEvent, name: str) -> Any:
    """A detail; a stored sentence in the language of the page."""
    value, said = event.details[name], event.said or {}
    return in_language(restored({name: value, "said": said}, name)) if name in said else value


def _changes(action: str, details: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Each name with its value before and after."""
    before, after = details.get("before"), details.get("after")
    if action in ONE_VALUE:
        return {ONE_VALUE[action]: (before, after)}
    if isinstance(after, dict):
        known = before if isinstance(before, dict) else {}
        return {name: (known.get(name), value) for name, value in after.items()}
    return {} if after is None else {"": (before, after)}


def _changed(name: str, before: Any, after: Any) -> str:
    values = {"name": detail_name(name), "before": _value(name, before), "after": _value(name, after)}
    if not name:
        return gettext("%(before)s → %(after)s") % values
    return gettext("%(name)s: %(before)s → %(after)s") % values


def _value(name: str, value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if name in _VALUES and isinstance(value, str | int):
        return _cut(_VALUES[name](value), _MOST_OF_VALUE)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        words = _VALUES.get(name, str)
        return _cut(", ".join(words(part) for part in value), _MOST_OF_VALUE)
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), _MOST_OF_VALUE)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
