"""Alerts of the projects one leads, and who is told of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.alerts import services
from labeling.alerts.models import Alert, AlertDelivery, AlertKind, AlertRecipient, Channel, DeliveryState
from labeling.alerts.queries import list_alerts, list_recipients
from labeling.errors import LabelingError
from labeling.projects.access import Permission, get_project, require_admin
from labeling.projects.queries import list_projects
from labeling.web import actor_of
from labeling.web.forms import PageForm, put_errors
from labeling.web.page import page

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class AlertList:
    """A page of alerts, newest first, and the filters that led to it."""

    alerts: list[Alert]
    next_before: int | None
    state: str
    kind: str
    project: str
    projects: list[str]
    kinds: list[tuple[str, str]]
    may_configure: bool


@page("GET")
def overview(request: HttpRequest) -> HttpResponse:
    """What is wrong now, or was."""
    actor = actor_of(request)
    wanted = request.GET
    state, kind, project = (wanted.get("state") or "open", wanted.get("kind", ""), wanted.get("project", ""))
    before = wanted.get("before", "")
    at = int(before) if before.isdecimal() and before.isascii() and len(before) < 19 else None
    found = list(list_alerts(actor, state=state, kind=kind, project=project, before=at)[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    for alert in shown:
        alert.told = kind_name(alert.kind)  # type: ignore[attr-defined]
    context = AlertList(
        alerts=shown,
        next_before=shown[-1].pk if len(found) > PAGE_SIZE else None,
        state=state,
        kind=kind,
        project=project,
        projects=[one.slug for one in list_projects(actor)],
        kinds=[(value, kind_name(value)) for value in AlertKind.values if value != AlertKind.TEST],
        may_configure=actor.is_admin,
    )
    return render(request, "alert/list.html", {"overview": context})


@page("POST")
def acknowledge(request: HttpRequest, alert_id: int) -> HttpResponse:
    """Say that I look after it."""
    services.acknowledge(alert_id=alert_id, by=actor_of(request))
    messages.info(request, _("You look after it now."))
    return redirect("alert:list")


@page("GET", "POST")
def recipients(request: HttpRequest) -> HttpResponse:
    """Who is told, and how their last messages went; a new recipient by form."""
    actor = actor_of(request)
    require_admin(actor)
    slugs = [one.slug for one in list_projects(actor)]
    form = NewRecipient(request.POST or None, slugs=slugs)
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        try:
            slug = wanted["project"]
            made = services.add_recipient(
                channel=wanted["channel"],
                address=wanted["address"],
                kinds=[wanted["kinds"]] if wanted["kinds"] else [],
                project=get_project(actor, slug, Permission.LEAD) if slug else None,
                by=actor,
            )
        except LabelingError as error:
            put_errors(form, error, {f"/{name}": name for name in form.fields})
        else:
            # Not by a redirect: the secret is in this one answer and nowhere else.
            return _recipients(request, NewRecipient(slugs=slugs), made=made)
    return _recipients(request, form, status=422 if form.errors else 200)


@page("POST")
def remove(request: HttpRequest, recipient_id: int) -> HttpResponse:
    """Tell them nothing more."""
    services.remove_recipient(recipient_id=recipient_id, by=actor_of(request))
    return redirect("alert:recipients")


@page("POST")
def test(request: HttpRequest) -> HttpResponse:
    """A message to everybody, to see that they arrive."""
    services.send_test(by=actor_of(request))
    messages.info(request, _("A test is on its way to everybody in the list."))
    return redirect("alert:recipients")


class NewRecipient(PageForm):
    channel = forms.ChoiceField(
        label=gettext_lazy("How"),
        choices=[(Channel.EMAIL, gettext_lazy("e-mail")), (Channel.WEBHOOK, gettext_lazy("webhook"))],
    )
    address = forms.CharField(label=gettext_lazy("Address or URL"), max_length=500)
    project = forms.ChoiceField(label=gettext_lazy("Project"), required=False)
    kinds = forms.ChoiceField(
        label=gettext_lazy("Of what"),
        choices=[
            ("", gettext_lazy("everything")),
            *((kind.value, kind.label) for kind in AlertKind if kind != AlertKind.TEST),
        ],
        required=False,
    )

    def __init__(self, *args: Any, slugs: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.ChoiceField, self.fields["project"])
        field.choices = [("", gettext_lazy("all, and the instance")), *((slug, slug) for slug in slugs)]


def kind_name(kind: str) -> str:
    """An alert's kind in the words of the interface."""
    return str(AlertKind(kind).label)


def _recipients(
    request: HttpRequest, form: NewRecipient, *, made: AlertRecipient | None = None, status: int = 200
) -> HttpResponse:
    rows: list[dict[str, Any]] = [
        {
            "recipient": recipient,
            "kinds": ", ".join(map(kind_name, recipient.kinds)),
            "last": recipient.deliveries.order_by("-next_try_at").first(),
        }
        for recipient in list_recipients()
    ]
    failed = AlertDelivery.objects.filter(state=DeliveryState.FAILED, recipient__removed_at=None).count()
    context = {"form": form, "rows": rows, "made": made, "failed": failed}
    return render(request, "alert/recipients.html", context, status=status)
