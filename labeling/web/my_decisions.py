"""The last decisions of a person in a project, and which of them may still be taken back."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from labeling.decisions.diffing import core_output
from labeling.decisions.models import Decision
from labeling.history.actor import Actor
from labeling.ingestion.models import Item, Prediction
from labeling.pipeline.undoing import Barrier, find_barriers
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.review.models import TaskKind
from labeling.web.frame import project_frame
from labeling.web.outputs import describe
from labeling.web.page import is_fragment, page

MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class MyDecision:
    """One of my last decisions: what the model had said, what I said, and what is in the way of taking it back."""

    decision: Decision
    item: str
    model_text: str
    my_text: str
    barrier: Barrier | None

    @property
    def why_not(self) -> str:
        """Why it cannot be undone, in words."""
        if self.barrier is None:
            return ""
        return {
            Barrier.UNDONE: _("undone"),
            Barrier.PUBLISHED: _("published"),
            Barrier.SUPERSEDED: _("a later decision counts"),
            Barrier.WITH_A_LEAD: _("a lead is looking at it"),
        }[self.barrier]


@page("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """The last 50, as a page or in a dialog."""
    frame = project_frame(request, slug, Permission.REVIEW, tab="queues")
    mine = list_my_decisions(frame.actor, frame.project, MOST_SHOWN, with_undone=True)
    template = "review/mine.html#mine" if is_fragment(request) else "review/mine.html"
    return render(request, template, {"frame": frame, "decisions": mine, "most": MOST_SHOWN})


def list_my_decisions(
    by: Actor, project: Project, most: int, *, with_undone: bool = False
) -> list[MyDecision]:
    """Newest first; the number of queries does not depend on how many."""
    decisions = Decision.objects.filter(decided_by_id=by.user_id, project=project)
    if not with_undone:
        decisions = decisions.filter(withdrawal=None)
    found = list(decisions.select_related("task", "withdrawal").order_by("-pk")[:most])
    keys = dict(Item.objects.filter(pk__in=[d.item_id for d in found]).values_list("pk", "key"))
    seen = [
        d.prediction_id for d in found if d.task.kind == TaskKind.REVIEW
    ]  # of blind tasks, nothing is told
    said = dict(Prediction.objects.filter(pk__in=seen).values_list("pk", "output"))
    barriers = find_barriers(found)
    return [
        MyDecision(
            decision=decision,
            item=keys.get(decision.item_id, ""),
            model_text=describe(
                project.task_type, core_output(project.task_type, said[decision.prediction_id])
            )
            if decision.prediction_id in said and decision.task.kind == TaskKind.REVIEW
            else "",
            my_text=describe(project.task_type, decision.output) if decision.output is not None else "",
            barrier=barriers.get(decision.pk),
        )
        for decision in found
    ]
