"""Writes what the pipeline writes, raw rows and deltas in one transaction, without going through HTTP or policies.

The counters are worked out here anew and not by `labeling.trust.counting`, so that a mistake there does not hide.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.contrib.auth import get_user_model
from django.db import transaction

from labeling.decisions.models import Decision, Withdrawal
from labeling.ids import take_ids
from labeling.ingestion.models import ModelVersion, Prediction
from labeling.ingestion.partitions import ensure_partitions
from labeling.projects.models import Membership, Project
from labeling.review.models import ReviewQueue, ReviewTask
from labeling.routing.models import PolicyPeriod, PolicyVersion
from labeling.trust.deltas import append_delta, cell_entry, place_of

T0 = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
SERVED_BY_FALLBACK = "b"
POLICY = {
    "high": 0.95,
    "low": 0.7,
    "audit_rate": 0.05,
    "alpha": 0.02,
    "delta": 0.05,
    "alpha_by_label": {},
    "autonomy": "off",
}


@dataclass
class Routed:
    """A prediction and the answers about it that stand."""

    prediction: Prediction
    place: object
    answers: list[Decision] = field(default_factory=list)


class History:
    """A project in which things happen."""

    def __init__(self, slug: str = "news", *, time_zone: str = "UTC", simulation: bool = False) -> None:
        ensure_partitions()
        self.project = Project.objects.create(
            slug=slug,
            name=slug.title(),
            task_type="classification",
            time_zone=time_zone,
            simulation=simulation,
            policy_number=1,
        )
        self.zone = ZoneInfo(time_zone)
        self.rita = self.person("rita", "reviewer")
        self.queue = ReviewQueue.objects.create(project=self.project, slug="default", name="Review")
        PolicyVersion.objects.create(project=self.project, number=1, body=POLICY)
        self.period = self.open_period()
        self.version = self.model("reader", "1")

    def person(self, name: str, role: str):
        user, _ = get_user_model().objects.get_or_create(username=name)
        Membership.objects.get_or_create(project=self.project, user=user, defaults={"role": role})
        return user

    def model(self, name: str, version: str) -> ModelVersion:
        return ModelVersion.objects.create(project=self.project, name=name, version=version)

    def open_period(self, *, at: datetime = T0, **fields) -> PolicyPeriod:
        PolicyPeriod.objects.filter(project=self.project, ended_at=None).update(ended_at=at)
        values = {"policy_number": 1, "high": 0.95, "low": 0.7, "audit_rate": 0.05, "reason": "policy v1"}
        self.period = PolicyPeriod.objects.create(project=self.project, started_at=at, **(values | fields))
        return self.period

    def route(
        self,
        route: str = "review",
        *,
        at: datetime = T0,
        confidence: float = 0.8,
        segment: str | None = None,
        label: str | None = "a",
        audited: bool = False,
        manual: bool = True,
        occurred_at: datetime | None = None,
        version: ModelVersion | None = None,
    ) -> Routed:
        (identifier,) = take_ids(1)
        version = version or self.version
        with transaction.atomic():
            prediction = Prediction.objects.create(
                id=identifier,
                project_id=self.project.pk,
                item_id=identifier,
                model_version_id=version.pk,
                output={"label": label},
                confidence=confidence,
                label=label,
                segment=segment,
                occurred_at=occurred_at,
                received_at=at,
                route=route,
                reason="threshold",
                policy_number=1,
                period_id=self.period.pk,
                audit_probability=0.05 if route == "auto" or not manual else 0.0,
                audited=audited,
                final_output={"label": SERVED_BY_FALLBACK} if route == "fallback" and not manual else None,
            )
            place = place_of(
                moment=(occurred_at if self.project.simulation else None) or at,
                zone=self.zone,
                period=self.period.pk,
                mv=version.pk,
                confidence=confidence,
                segment=segment,
                label=label,
            )
            counts = {"total": 1, route: 1}
            if route == "auto" and audited:
                counts["audit_due"] = 1
            if route == "fallback":
                counts |= {"fallback_manual": 1} if manual else {"shadow_of": 1}
                counts |= {"shadow_due": 1} if audited else {}
            append_delta(self.project.pk, [cell_entry(place, counts)])
        return Routed(prediction, place)

    def count(
        self,
        *,
        at: datetime = T0,
        confidence: float = 0.8,
        segment: str | None = None,
        label: str | None = "a",
        version: ModelVersion | None = None,
        truth: str | None = None,
        **counts: int,
    ) -> None:
        """Many predictions and answers at once: their counts, without their rows."""
        place = place_of(
            moment=at,
            zone=self.zone,
            period=self.period.pk,
            mv=(version or self.version).pk,
            confidence=confidence,
            segment=segment,
            label=label,
        )
        append_delta(self.project.pk, [cell_entry(place, counts, truth)])

    def answer(
        self,
        routed: Routed,
        verdict: str = "confirmed",
        *,
        purpose: str | None = None,
        agreed: bool | None = None,
        by=None,
        seconds: float | None = None,
        said: str = "a",
    ) -> Decision:
        prediction = routed.prediction
        purpose = purpose or asked_for(prediction)
        labelled = verdict in ("confirmed", "corrected", "labelled")
        if agreed is None and labelled:
            agreed = verdict == "confirmed"
        (identifier,) = take_ids(1)
        before = counted(routed)
        with transaction.atomic():
            task = ReviewTask.objects.create(
                id=identifier,
                project=self.project,
                queue=self.queue,
                kind="review" if purpose == "review" else "label",
                purpose=purpose,
                state="decided",
                item_id=prediction.item_id,
                prediction_id=prediction.pk,
                model_version_id=prediction.model_version_id,
                confidence=prediction.confidence,
                position=identifier,
            )
            decision = Decision.objects.create(
                id=identifier,
                project=self.project,
                task=task,
                item_id=prediction.item_id,
                prediction_id=prediction.pk,
                purpose=purpose,
                verdict=verdict,
                output={"label": said} if labelled else None,
                agreed=agreed,
                seconds=seconds,
                claim_token=uuid.uuid4(),
                request_hash=uuid.uuid4(),
                decided_by=by or self.rita,
            )
            decision.refresh_from_db(fields=["decided_at"])
            routed.answers.append(decision)
            self._leave(routed, before, decision, sign=1)
        return decision

    def undo(self, routed: Routed, decision: Decision) -> None:
        before = counted(routed)
        with transaction.atomic():
            Withdrawal.objects.create(decision=decision, by=decision.decided_by)
            routed.answers.remove(decision)
            self._leave(routed, before, decision, sign=-1)

    def _leave(self, routed: Routed, before, decision: Decision, *, sign: int) -> None:
        """Takes away all that was counted before, and adds all that is counted now, each by its own true label."""
        (counts_before, truth_before), (counts, truth) = before, counted(routed)
        taken = {name: -count for name, count in counts_before.items()}
        entries = [cell_entry(routed.place, taken, truth_before)] if taken else []
        entries += [cell_entry(routed.place, counts, truth)] if counts else []
        if decision.purpose != "sentinel":
            reviewer = {
                "reviewer": decision.decided_by_id,
                "queue": self.queue.pk,
                "day": decision.decided_at.astimezone(self.zone).date().isoformat(),
                "reviewed": sign,
                decision.verdict: sign,
                "seconds": sign * (decision.seconds or 0),
            }
            entries.append(reviewer)
        append_delta(self.project.pk, entries)


def asked_for(prediction: Prediction) -> str:
    """Why people are asked about a prediction of this route first."""
    if prediction.route == "fallback":
        return "fallback" if prediction.final_output is None else "shadow"
    return {"review": "review", "auto": "audit"}[prediction.route]


def counted(routed: Routed) -> tuple[dict[str, int], str | None]:
    """What the answers of a prediction count as, written out case by case, and the label they settle on."""
    route, audited = routed.prediction.route, routed.prediction.audited
    own = asked_for(routed.prediction)
    if route == "auto" and not audited:
        return {}, None
    answers = [a for a in routed.answers if a.purpose in (own, "adjudication")]
    escalated = sum(a.verdict == "escalated" for a in answers)
    final = None
    for answer in answers:
        if answer.verdict != "escalated":
            settles = final is None or answer.purpose == "adjudication" or final.purpose != "adjudication"
            final = answer if settles else final
    counts = {"escalated": escalated} if escalated else {}
    if final is None:
        return counts, None
    return counts | _counted_as(route, final), final.output and final.output["label"]


def _counted_as(route: str, final: Decision) -> dict[str, int]:
    if route == "auto" and final.agreed:
        return {"audit_done": 1}
    if route == "auto":
        settled = {"audit_err_adjudicated": 1} if final.purpose == "adjudication" else {}
        return {"audit_done": 1, "audit_err": 1, **settled}
    if final.purpose == "shadow" and final.verdict == "rejected":
        return {"shadow_rejected": 1}
    if final.purpose == "shadow":
        as_served = final.output is not None and final.output["label"] == SERVED_BY_FALLBACK
        wrong = {} if final.agreed else {"shadow_err": 1}
        return {"shadow_done": 1} | wrong | ({} if as_served else {"shadow_served_err": 1})
    if final.verdict == "rejected":
        return {"rejected": 1}
    if route == "review":
        return {"confirmed" if final.agreed else "corrected": 1}
    return {"shadow_done": 1} if final.agreed else {"shadow_done": 1, "shadow_err": 1}


def live_at_random(history: History, seed: int, *, events: int = 120, days: int = 12) -> list[Routed]:
    """A history of routes, answers, undos, escalations, adjudications and late labels, decided by the seed."""
    chance = random.Random(seed)
    people = [history.rita, history.person("sam", "reviewer")]
    versions = [history.version, history.model("reader", f"2-{seed}")]
    routed: list[Routed] = []
    for number in range(events):
        kind = chance.random()
        if kind < 0.55 or not routed:
            route = chance.choice(["auto", "auto", "review", "review", "fallback"])
            manual = chance.random() < 0.7
            served = route == "auto" or (route == "fallback" and not manual)
            routed.append(
                history.route(
                    route,
                    at=T0 + timedelta(days=days * number / events, minutes=chance.randrange(1440)),
                    confidence=chance.random(),
                    segment=chance.choice([None, "north", "south", "other"]),
                    label=chance.choice([None, "a", "b", "c"]),
                    audited=served and chance.random() < 0.5,
                    manual=manual,
                    version=chance.choice(versions),
                )
            )
        elif kind < 0.60:
            history.open_period(at=T0 + timedelta(days=days * number / events), audit_rate=chance.random())
        else:
            _answer_at_random(history, chance, chance.choice(routed), people)
    return routed


def _answer_at_random(history: History, chance: random.Random, routed: Routed, people) -> None:
    if routed.answers and chance.random() < 0.3:
        history.undo(routed, chance.choice(routed.answers))
        return
    by, seconds = chance.choice(people), chance.choice([None, 1.5, 20.25])
    if routed.prediction.route == "review" and chance.random() < 0.7:
        history.answer(
            routed,
            chance.choice(["confirmed", "corrected", "rejected", "escalated"]),
            by=by,
            seconds=seconds,
            said=chance.choice("ab"),
        )
        return
    purpose = chance.choice([None, None, "adjudication", "second_review", "sentinel"])
    verdict = chance.choice(["labelled", "labelled", "rejected", "escalated"])
    agreed = chance.random() < 0.6 if verdict == "labelled" else None
    said = chance.choice("ab")
    history.answer(routed, verdict, purpose=purpose, agreed=agreed, by=by, seconds=seconds, said=said)
