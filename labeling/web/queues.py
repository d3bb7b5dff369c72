"""The queues of a project: what its overview shows; and for leads who holds what, taking claims back, deadlines."""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from labeling.errors import ConflictError, invalid, say
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.review.claiming import get_queue
from labeling.review.deadlines import LONGEST_DEADLINE, SHORTEST_DEADLINE, set_deadline
from labeling.review.models import ReviewTask, TaskState
from labeling.review.queries import MOST_COUNTED, HeldTask, QueueState, list_held_tasks, list_queues
from labeling.review.taking_back import take_back
from labeling.routing.queries import OverflowState, get_overflow, get_policy
from labeling.trust.staffing import HOURS_OF_ARRIVALS, WORKING_HOURS, Staffing, find_staffing
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.my_day import MyDay, my_day
from labeling.web.my_decisions import MyDecision, list_my_decisions
from labeling.web.page import page
from labeling.web.traffic import Traffic, find_traffic

SHOWN_DECISIONS = 8


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue, who works in it now, and how many are needed."""

    state: QueueState
    people: list[str]
    staffing: Staffing
    key: str

    @property
    def is_capped(self) -> bool:
        return self.state.waiting >= MOST_COUNTED

    @property
    def is_late_capped(self) -> bool:
        return self.state.past_deadline >= MOST_COUNTED

    @property
    def arrived(self) -> int:
        """Tasks of the last 24 hours; of escalations the mean of a day."""
        return sum(self.staffing.arrived) or round(self.staffing.arriving_per_hour * HOURS_OF_ARRIVALS)

    @property
    def arrivals_path(self) -> str:
        """The hours of the last day as steps in a box of 1000 x 100; empty where nothing came."""
        hours, most = self.staffing.arrived, max(self.staffing.arrived, default=0)
        if not most:
            return ""
        wide = 1000 / len(hours)
        steps = "".join(
            f"V{100 - 100 * count / most:.0f}H{wide * (index + 1):.0f}" for index, count in enumerate(hours)
        )
        return f"M0 100{steps}V100Z"

    @property
    def needed_words(self) -> str:
        """The formula with this queue's numbers in it."""
        hours = max(1.0, self.state.deadline_seconds / 3600) if self.state.deadline_seconds else WORKING_HOURS
        return _(
            "(%(arriving).1f arrive in an hour + %(waiting)d waiting / %(hours).1f hours) × %(each).1f s / 3600 s"
        ) % {
            "arriving": self.staffing.arriving_per_hour,
            "waiting": self.state.waiting,
            "hours": hours,
            "each": self.staffing.seconds_each or 0.0,
        }


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the overview of a project shows."""

    queues: list[QueueRow]
    waiting: int
    claimed: int
    people: int
    today: MyDay
    decisions: list[MyDecision]
    traffic: Traffic | None
    overflow: OverflowState


@dataclass(frozen=True, slots=True)
class Holder:
    """A person and what they hold, the longest held first."""

    name: str
    tasks: list[HeldTask]


def overview_of(frame: ProjectFrame) -> Overview:
    """What the project's first page shows; bounded reads only."""
    working = _working(frame.project)
    policy = get_policy(frame.project, frame.project.policy_number).body
    queues = frame.seen(list_queues(frame.project))  # counted further than the bar of every page does
    staffing = find_staffing(frame.project, queues)
    rows = [
        QueueRow(queue, working.get(queue.slug, []), staffing[queue.id], str(index + 1) if index < 9 else "")
        for index, queue in enumerate(queues)
    ]
    return Overview(
        queues=rows,
        waiting=sum(queue.waiting for queue in queues),
        claimed=sum(queue.claimed for queue in queues),
        people=len({person for row in rows for person in row.people}),
        today=my_day(frame.actor, frame.project),
        decisions=list_my_decisions(frame.actor, frame.project, SHOWN_DECISIONS) if frame.may_review else [],
        traffic=find_traffic(frame.project, days=1, low=policy["low"], high=policy["high"]),
        overflow=get_overflow(frame.project),
    )


@page("GET")
def claims(request: HttpRequest, slug: str) -> HttpResponse:
    """Who holds what now, for leads."""
    frame = project_frame(request, slug, Permission.LEAD_REVIEW, tab="queues")
    holders: dict[str, list[HeldTask]] = {}
    for held in list_held_tasks(frame.project):
        holders.setdefault(held.holder, []).append(held)
    context = {"frame": frame, "holders": [Holder(*entry) for entry in holders.items()]}
    return render(request, "project/claims.html", context)


@page("POST")
def take_back_claims(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Take back the claims that were ticked off or all of one person."""
    frame = project_frame(request, slug, Permission.LEAD_REVIEW, tab="queues")
    wanted = set(request.POST.getlist("task"))
    person = request.POST.get("person", "")
    chosen = [
        held
        for held in list_held_tasks(frame.project)
        if str(held.task) in wanted or (person and held.holder == person)
    ]
    taken = 0
    for held in chosen:
        try:
            take_back(task_id=held.task, by=frame.actor, reason=request.POST.get("reason", ""))
        except ConflictError:  # decided or given back at this very moment
            continue
        taken += 1
    if taken:
        messages.success(request, _("%(count)d taken back. They wait in the queue again.") % {"count": taken})
    else:
        messages.info(request, _("Nothing was taken back: it is in nobody's hands any more."))
    return redirect("claim:list", slug)


@page("POST")
def deadlines(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Set or clear the deadline of a queue, in minutes."""
    frame = project_frame(request, slug, Permission.LEAD, tab="queues")
    queue = get_queue(frame.project, request.POST.get("queue", ""))
    text = request.POST.get("minutes", "").strip()
    if text and not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise invalid(
            "/minutes",
            "invalid",
            say(
                "A deadline is a whole number of minutes, from {shortest} to {longest}.",
                shortest=SHORTEST_DEADLINE // 60,
                longest=LONGEST_DEADLINE // 60,
            ),
        )
    set_deadline(queue=queue, seconds=int(text) * 60 if text else None, by=frame.actor)
    messages.success(request, _("Saved."))
    return redirect("project:detail", slug)


def _working(project: Project) -> dict[str, list[str]]:
    """Who holds tasks of which queue now."""
    held = (
        ReviewTask.objects.filter(queue__project=project, state=TaskState.CLAIMED)
        .values_list("queue__slug", "claimed_by__username")
        .distinct()
        .order_by("claimed_by__username")
    )
    people: dict[str, list[str]] = {}
    for slug, name in held[:200]:
        people.setdefault(slug, []).append(name)
    return people
