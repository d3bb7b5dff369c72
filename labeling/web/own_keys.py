"""Which key stands for which command, and the form in which a person moves them."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.projects.models import OwnKeys
from labeling.projects.services import set_own_keys
from labeling.web import actor_of
from labeling.web.page import page

COMMANDS: dict[str, str | Promise] = {
    "a": gettext_lazy("submit what is shown, like Enter"),
    "e": gettext_lazy("edit"),
    "j": gettext_lazy("next doubtful word or field; my later decision"),
    "k": gettext_lazy("the one before; my earlier decision"),
    "s": gettext_lazy("skip: others get it"),
    "x": gettext_lazy("none fits, or unreadable"),
    "f": gettext_lazy("escalate to a lead"),
    "n": gettext_lazy("note"),
    "u": gettext_lazy("undo the last decision; also Ctrl+Z"),
    "h": gettext_lazy("my last 50 decisions"),
    "v": gettext_lazy("filter the queue"),
    "/": gettext_lazy("filter labels"),
    "p": gettext_lazy("play or pause the recording; also Ctrl+Space, while typing"),
    ",": gettext_lazy("2 seconds back"),
    ".": gettext_lazy("2 seconds on"),
    "w": gettext_lazy("why is this here"),
    "g": gettext_lazy("guidelines"),
    "q": gettext_lazy("leave; what you hold goes back"),
    "r": gettext_lazy("start reviewing, on other pages"),
    "?": gettext_lazy("the list of keys"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A command in the form: the key that was typed for it, and what is wrong with that."""

    usual: str
    title: str | Promise
    typed: str
    problem: str


@page("GET", "POST")
def edit(request: HttpRequest) -> HttpResponseBase:
    """My keys: one for each command, kept in the account."""
    actor = actor_of(request)
    if request.method == "POST" and "reset" in request.POST:
        set_own_keys(by=actor, moved={})
        messages.success(request, _("All keys are as they were at first."))
        return redirect("account:keys")
    if request.method == "POST":
        typed = {usual: request.POST.get(f"key:{usual}", "").strip().lower() for usual in COMMANDS}
        problems = find_problems(typed)
        if not problems:
            set_own_keys(by=actor, moved=moved_of(typed))
            messages.success(request, _("Saved."))
            return redirect("account:keys")
        return _show(request, typed, problems)
    own = OwnKeys.objects.filter(user_id=actor.user_id).first()
    return _show(request, own.moved if own else {}, {})


def find_problems(typed: Mapping[str, str]) -> dict[str, str]:
    """By command: why its key cannot be. An empty one is the usual key."""
    keys = {usual: typed.get(usual) or usual for usual in COMMANDS}
    problems = {}
    for usual, key in keys.items():
        twin = next((other for other, taken in keys.items() if taken == key and other != usual), None)
        if len(key) != 1 or not key.isprintable() or key.isspace():
            problems[usual] = _("One character.")
        elif key.isnumeric():
            problems[usual] = _("Digits choose labels.")
        elif twin is not None:
            problems[usual] = _("“%(key)s” is taken: %(title)s.") % {"key": key, "title": COMMANDS[twin]}
    return problems


def moved_of(typed: Mapping[str, str]) -> dict[str, str]:
    """What is different from the usual keys."""
    return {usual: key for usual, key in typed.items() if usual in COMMANDS and key and key != usual}


def _show(request: HttpRequest, typed: Mapping[str, str], problems: Mapping[str, str]) -> HttpResponse:
    rows = [
        Row(usual, title, typed.get(usual) or usual, problems.get(usual, ""))
        for usual, title in COMMANDS.items()
    ]
    return render(request, "account/keys.html", {"rows": rows}, status=422 if problems else 200)
