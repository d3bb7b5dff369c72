"""Every model is registered, and is either append-only, by the database's own will, or on the list of those that change."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction

from labeling.datasets.models import Dataset
from labeling.datasets.services import publish, set_tag
from labeling.review.models import Overflowed, ReviewTask, Sentinel
from labeling.routing.models import PolicyPeriod
from labeling.trust.steering import stop_automatic
from tests.world import World, a_row

LABELING = Path(__file__).parents[2] / "labeling"
STAGES = sorted(
    {path.parent.name for path in LABELING.glob("*/models.py")} - {"web"}
)  # its models are the AI's
MODELS = {model.__name__: model for model in apps.get_app_config("labeling").get_models()}

APPEND_ONLY = {
    "Adjudication",
    "AutonomyEvent",
    "DatasetEntry",
    "DatasetTagEvent",
    "DatasetVersion",
    "Decision",
    "Guidelines",
    "HistoryEvent",
    "Item",
    "LabelSchema",
    "Outcome",
    "Overflowed",
    "PolicyVersion",
    "Prediction",
    "TakenBack",
    "Sentinel",
    "Withdrawal",
}
CHANGES_ONCE = {
    "DatasetSegment",  # is retired
    "OutcomeBatch",  # is given its first number
    "PolicyPeriod",  # ends
    "Stop",  # ends
}
MUTABLE = {
    "AcceptedLabel",
    "Alert",
    "AlertDelivery",
    "AlertRecipient",
    "ApiKey",
    "AutonomyScope",
    "Dataset",
    "DatasetTag",
    "Exclusion",
    "FeedHead",
    "Invitation",
    "ItemKey",
    "LedgerRun",
    "Membership",
    "ModelVersion",
    "Overflowing",
    "OwnKeys",
    "PasswordLink",
    "PredictionKey",
    "Project",
    "Publication",
    "QueueMark",
    "Recall",
    "ReviewQueue",
    "ReviewTask",
    "ReviewerDay",
    "Session",
    "SliceValue",
    "TrustCell",
    "TrustDay",
    "TrustDelta",
    "TrustHour",
    "TrustSlice",
    "TrustWeek",
    "WaitingDecision",
}


def test_the_registry_brings_every_stages_models() -> None:
    """A stage that is forgotten there is silently not migrated."""
    tree = ast.parse((LABELING / "models.py").read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {f"labeling.{stage}.models" for stage in STAGES}


@pytest.mark.parametrize("stage", STAGES)
def test_every_model_of_a_stage_is_registered(stage: str) -> None:
    module = import_module(f"labeling.{stage}.models")
    defined = {
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, models.Model)
        and value.__module__ == module.__name__
        and not value._meta.abstract
    }
    assert defined <= set(MODELS)
    assert defined <= set(module.__all__)


def test_each_model_is_listed() -> None:
    listed = [*APPEND_ONLY, *CHANGES_ONCE, *MUTABLE]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(MODELS), "say whether it may change"


@pytest.mark.django_db
def test_what_may_not_change_is_guarded_and_nothing_else() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select distinct relname from pg_trigger join pg_class on pg_class.oid = tgrelid
            where not tgisinternal and tgenabled <> 'D' and tgparentid = 0 and relname not like '%\\_w____'
            """
        )
        guarded = {row[0] for row in cursor.fetchall()}
    assert guarded == {MODELS[name]._meta.db_table for name in APPEND_ONLY | CHANGES_ONCE}


@pytest.fixture
def everything(world: World) -> World:
    """A row of everything that may not change."""
    otto, rita = world.api("otto"), world.api("rita")
    otto.patch("/projects/letters/", {"guidelines": "Be kind"}).expect(200)
    otto.predict([a_row(), a_row(), a_row(confidence=0.99)]).expect(200)
    rita.undo(rita.decide(rita.claim_one(), "confirmed").expect(201)["decision"]).expect(200)
    taken = rita.claim_one()["task"]
    world.api("lea").post(f"/tasks/{taken}/take-back/", {}).expect(200)
    rita.decide(rita.claim_one(), "corrected", {"label": "b"}).expect(201)
    checked = world.make_project("checked", policy={"audit_rate": 1, "sentinel_rate": 0})
    world.api("otto", at=checked).predict(a_row(confidence=0.99)).expect(201)
    auditor = world.api("rita", at=checked)
    auditor.decide(auditor.claim_one(), "labelled", {"label": "b"}).expect(201)
    (task,) = ReviewTask.objects.filter(purpose="adjudication")
    Sentinel.objects.create(
        task=task, item_id=task.item_id, is_wrong=True, output={"label": "c"}, period_id=1, policy_number=1
    )
    stop_automatic(checked, reason="a look", by=world.otto.actor)
    Overflowed.objects.create(task=task, outcome_id=1, policy_number=1, after_seconds=60)
    dataset = Dataset.objects.get(project=world.letters)
    assert publish(dataset.pk) is not None
    set_tag(dataset=dataset, number=1, name="gold", by=world.otto.actor)
    otto.outcomes()
    return world


def refuses(statement: str) -> bool:
    """Whether the database refuses; a statement that finds no row proves nothing."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
            assert cursor.rowcount > 0, f"nothing was there for: {statement}"
    except IntegrityError:
        return True
    return False


def test_the_database_refuses_to_change_what_is_append_only(everything: World) -> None:
    for name in sorted(APPEND_ONLY):
        model = MODELS[name]
        table, column = model._meta.db_table, model._meta.pk.column
        assert model._default_manager.exists(), name
        assert refuses(f"update {table} set {column} = {column}"), name
        assert refuses(f"delete from {table}"), name


def test_a_period_ends_once_and_that_is_all(everything: World) -> None:
    table = "labeling_policyperiod"
    assert refuses(f"update {table} set high = 0.1")
    assert refuses(f"update {table} set ended_at = now(), high = 0.1")
    assert refuses(f"update {table} set ended_at = null")
    assert refuses(f"delete from {table}")
    everything.api("otto").put("/projects/letters/policy/", {}).expect(200)
    (ended,) = PolicyPeriod.objects.filter(project=everything.letters).exclude(ended_at=None)
    assert refuses(f"update {table} set ended_at = now() where id = {ended.pk}")


def test_a_batch_of_outcomes_is_numbered_once_and_that_is_all(everything: World) -> None:
    table = "labeling_outcomebatch"
    assert refuses(f"update {table} set first_number = first_number + 1")
    assert refuses(f"update {table} set size = size")
    assert refuses(f"delete from {table}")
    everything.api("otto").predict(a_row(confidence=0.99)).expect(201)
    assert refuses(f"update {table} set entries = '{{1}}' where first_number is null")
    assert refuses(f"update {table} set first_number = 7, size = 2 where first_number is null")
    assert not refuses(f"update {table} set first_number = 7 where first_number is null")


def test_what_changes_may_be_changed(everything: World) -> None:
    """The guards are where they belong: those on the other list let a row be written again."""
    for name in sorted(MUTABLE):
        table, column = MODELS[name]._meta.db_table, MODELS[name]._meta.pk.column
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"update {table} set {column} = {column}")


CONSTRAINTS = [
    ("a claim is whole", "update labeling_reviewtask set state = 'claimed'"),
    ("a task that is free is nobody's", "update labeling_reviewtask set claim_token = gen_random_uuid()"),
    ("a revocation is somebody's", "update labeling_apikey set revoked_at = now()"),
    ("roles are known", "update labeling_membership set role = 'boss'"),
    (
        "one role in a project",
        "insert into labeling_membership (project_id, user_id, role) select project_id, user_id, 'viewer' from labeling_membership",
    ),
    ("task types are known", "update labeling_project set task_type = 'audio'"),
    (
        "one period is in force",
        "insert into labeling_policyperiod (project_id, policy_number, label_group, epoch, level, high, low, audit_rate, reason) select project_id, 1, '', 1, 0, 1, 0, 0, '' from labeling_policyperiod where ended_at is null",
    ),
]


def test_the_database_keeps_promises_of_its_own(everything: World, subtests: pytest.Subtests) -> None:
    for promise, statement in CONSTRAINTS:
        with subtests.test(promise):
            assert refuses(statement)
