"""A project with people, items and decisions, written as the pipeline writes them but without HTTP, policy or claims."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection

from labeling.datasets.models import Dataset
from labeling.datasets.queries import get_dataset
from labeling.datasets.services import create_dataset, offer_decision
from labeling.decisions.models import Decision
from labeling.history.actor import Actor
from labeling.ids import take_ids
from labeling.ingestion.models import Item, ModelVersion, Prediction
from labeling.ingestion.partitions import ensure_partitions
from labeling.projects.models import LabelSchema, Membership, Project, Role
from labeling.review.models import ReviewQueue, ReviewTask

SCHEMAS: dict[str, Any] = {
    "classification": {"labels": ["spam", "ham"]},
    "multilabel": {"labels": ["a", "b", "c"]},
    "text": {},
    "fields": {"fields": {"total": {"type": "string"}, "date": {"type": "string"}}},
    "spans": {"labels": ["PER", "LOC"]},
    "boxes": {"labels": ["cat", "dog"]},
}


class World:
    """Otto owns, Lea leads, Rita reviews, Vito views, Nora is a stranger."""

    def __init__(self, slug: str = "mail", task_type: str = "classification") -> None:
        ensure_partitions()
        self.otto, self.lea, self.rita, self.vito, self.nora = (
            get_user_model().objects.get_or_create(username=name)[0]
            for name in ("otto", "lea", "rita", "vito", "nora")
        )
        self.project = Project.objects.create(slug=slug, name=slug, task_type=task_type)
        LabelSchema.objects.create(project=self.project, number=1, body=SCHEMAS[task_type])
        for user, role in (
            (self.otto, Role.OWNER),
            (self.lea, Role.LEAD),
            (self.rita, Role.REVIEWER),
            (self.vito, Role.VIEWER),
        ):
            Membership.objects.create(project=self.project, user=user, role=role)
        self.queue = ReviewQueue.objects.create(project=self.project, slug="default", name="Review")
        self.model = ModelVersion.objects.create(project=self.project, name="filter", version="3")
        create_dataset(project=self.project)
        self.items: dict[str, Prediction] = {}

    @property
    def dataset(self) -> Dataset:
        return get_dataset(self.project)

    def actor(self, user: Any) -> Actor:
        return Actor(user_id=user.pk, username=user.username)

    def predict(self, key: str, output: Any = None, **more: Any) -> Prediction:
        """An item with one prediction."""
        item_input = more.pop("input", {"text": f"this is {key}"})
        identifier = take_ids(1)[0]
        Item.objects.create(id=identifier, project_id=self.project.pk, key=key, input=item_input)
        self.items[key] = Prediction.objects.create(
            id=identifier,
            project_id=self.project.pk,
            item_id=identifier,
            model_version_id=self.model.pk,
            output=output or {"label": "spam"},
            confidence=more.pop("confidence", 0.8),
            segment=more.pop("segment", "inbox"),
            route="review",
            reason="between",
            policy_number=2,
            period_id=1,
            audit_probability=0.0,
            audited=False,
            **more,
        )
        return self.items[key]

    def decide(
        self, key: str, output: Any = "spam", *, offer: bool = True, by: Any = None, **more: Any
    ) -> Decision:
        """A decision about an item, made on the way if it is new; `output` may be a plain label, None is a rejection."""
        prediction = self.items.get(key) or self.predict(key)
        label = {"label": output} if isinstance(output, str) else output
        purpose = more.pop("purpose", "review")
        task_id = take_ids(1)[0]
        task = ReviewTask.objects.create(
            id=task_id,
            project=self.project,
            queue=self.queue,
            kind="label",
            purpose=purpose,
            state="decided",
            item_id=prediction.item_id,
            prediction_id=prediction.pk,
            model_version_id=self.model.pk,
            confidence=prediction.confidence,
            position=task_id,
        )
        decision = Decision.objects.create(
            project=self.project,
            task=task,
            item_id=prediction.item_id,
            prediction_id=prediction.pk,
            purpose=purpose,
            verdict=more.pop("verdict", "labelled" if label is not None else "rejected"),
            output=label,
            claim_token=uuid.uuid4(),
            request_hash=uuid.uuid4(),
            decided_by=by or self.rita,
            **more,
        )
        decision.refresh_from_db()
        if offer:
            offer_decision(decision=decision)
        return decision

    def decide_many(self, count: int, *, start: int = 0, label: str = "spam") -> None:
        """Many items with one decision each, in a few statements."""
        ids = take_ids(count)
        with connection.cursor() as cursor:
            cursor.execute(
                _MANY,
                {
                    "ids": ids,
                    "project": self.project.pk,
                    "model": self.model.pk,
                    "queue": self.queue.pk,
                    "dataset": self.dataset.pk,
                    "by": self.rita.pk,
                    "start": start,
                    "output": f'{{"label":"{label}"}}',
                },
            )


_MANY = """
with wanted as (
    select id, %(start)s + place - 1 as place from unnest(%(ids)s::bigint[]) with ordinality as i (id, place)
), items as (
    insert into labeling_item (id, project_id, key, input, received_at)
    select id, %(project)s, 'item-' || lpad(place::text, 8, '0'),
           json_build_object('text', 'a sentence of usual length about item ' || place || ' ' || md5(place::text)), now()
    from wanted
), predictions as (
    insert into labeling_prediction (id, project_id, item_id, model_version_id, output, confidence, label, segment,
        received_at, route, reason, policy_number, period_id, audit_probability, audited)
    select id, %(project)s, id, %(model)s, '{"label":"ham"}', 0.8, 'ham', 'inbox', now(), 'review', 'between', 1, 1, 0, false
    from wanted
), tasks as (
    insert into labeling_reviewtask (id, project_id, queue_id, kind, purpose, state, item_id, prediction_id,
        model_version_id, confidence, slot, priority, position, created_at)
    select id, %(project)s, %(queue)s, 'review', 'review', 'decided', id, id, %(model)s, 0.8, 1, 0, id, now() from wanted
), decisions as (
    insert into labeling_decision (id, project_id, task_id, item_id, prediction_id, purpose, verdict, output, note,
        claim_token, request_hash, guidelines_number, decided_by_id, decided_at)
    select id, %(project)s, id, id, id, 'review', 'corrected', %(output)s::json, '', gen_random_uuid(), gen_random_uuid(),
           0, %(by)s, now()
    from wanted
)
insert into labeling_waitingdecision (dataset_id, decision_id) select %(dataset)s, id from wanted
"""
