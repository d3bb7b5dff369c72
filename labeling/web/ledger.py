"""The ledger check: start one, and what the last ones found."""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from labeling.errors import invalid, say
from labeling.ledger.models import LedgerRun
from labeling.ledger.runs import ask_for_run
from labeling.projects.access import require_admin
from labeling.tasks import check_ledgers
from labeling.web import actor_of
from labeling.web.page import page
from labeling.web.wording import told

SHOWN = 10
PERIODS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7), "all": None}


@page("GET", "POST")
def overview(request: HttpRequest) -> HttpResponse:
    """The last checks; a POST asks for another one. A page with a check under way looks again by itself."""
    actor = actor_of(request)
    require_admin(actor)
    if request.method == "POST":
        period = request.POST.get("period", "")
        if period not in PERIODS:
            raise invalid("/period", "invalid", say("Choose how far back to look."))
        back = PERIODS[period]
        ask_for_run(by=actor, since=timezone.now() - back if back else None)
        check_ledgers.delay_on_commit()
        return redirect("ledger")
    runs = list(LedgerRun.objects.select_related("asked_by").order_by("-pk")[:SHOWN])
    done = next((run for run in runs if run.state == LedgerRun.State.DONE), None)
    context = {
        "runs": runs,
        "done": done,
        "findings": [_shown(finding) for finding in done.findings] if done else [],
        "under_way": any(run.is_under_way for run in runs),
    }
    template = "ledger.html#checks" if request.headers.get("HX-Target") == "checks" else "ledger.html"
    return render(request, template, context)


def _shown(finding: dict[str, Any]) -> dict[str, Any]:
    examples = [told(one, "text") if isinstance(one, dict) else one for one in finding["examples"]]
    return {**finding, "promise": told(finding, "promise"), "examples": examples}
