"""A whole ledger passes every check; each way of losing or doubling something fails the check that is there for it."""

import re
from collections import Counter
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from labeling.decisions.models import Decision, OutcomeBatch
from labeling.decisions.outcomes import number_all_outcomes
from labeling.ids import first_id_at
from labeling.ledger import statements
from labeling.ledger.checks import CHECKS, Finding, as_moment, check_ledger
from labeling.review.models import ReviewTask, TaskState

from .conftest import Break, LedgerWorld

pytestmark = pytest.mark.django_db


def broken() -> dict[str, Finding]:
    """The checks that do not pass."""
    return {finding.name: finding for finding in check_ledger() if finding.wrong}


def standing_decision(verdict: str) -> Decision:
    return Decision.objects.filter(verdict=verdict, withdrawal=None).order_by("pk")[0]


def test_a_new_instance_is_whole(empty_world: LedgerWorld) -> None:
    assert broken() == {}


def test_after_all_that_can_happen_the_ledger_is_whole(world: LedgerWorld) -> None:
    findings = {finding.name: finding for finding in check_ledger()}

    assert {name: finding.examples for name, finding in findings.items() if finding.wrong} == {}
    assert findings["routes"].checked == 27
    assert all(finding.checked for finding in findings.values()), findings


def test_every_check_is_broken_by_a_test_below() -> None:
    assert {check.name for check in CHECKS} == {name for name, *_ in BREAKS} | {"rollups"}


def test_the_command_prints_counts_and_succeeds(world: LedgerWorld) -> None:
    said = StringIO()

    call_command("verify_ledger", stdout=said)

    assert "ok 27  Every prediction has exactly one key and one route" in said.getvalue()
    assert said.getvalue().endswith("The ledger is whole.\n")


def test_the_command_names_what_is_wrong_and_fails(world: LedgerWorld, break_by: Break) -> None:
    decision = standing_decision("confirmed")
    break_by(
        "labeling_waitingdecision", "delete from labeling_waitingdecision where decision_id = %s", decision.pk
    )
    said = StringIO()

    with pytest.raises(CommandError, match="1 of the ledger's promises"):
        call_command("verify_ledger", stdout=said)

    assert f"decision {decision.pk} is 0 times in or before dataset main" in said.getvalue()


def test_since_looks_only_at_what_came_later(world: LedgerWorld, break_by: Break) -> None:
    decision = standing_decision("confirmed")
    break_by(
        "labeling_waitingdecision", "delete from labeling_waitingdecision where decision_id = %s", decision.pk
    )
    later = (timezone.now() + timedelta(seconds=2)).isoformat()
    before = (timezone.now() - timedelta(hours=1)).isoformat()

    call_command("verify_ledger", "--since", later, stdout=StringIO())
    with pytest.raises(CommandError):
        call_command("verify_ledger", "--since", before, stdout=StringIO())
    with pytest.raises(CommandError, match="must be a time like"):
        call_command("verify_ledger", "--since", "yesterday", stdout=StringIO())


def test_a_time_without_offset_is_utc() -> None:
    assert as_moment("2026-01-31T12:00").isoformat() == "2026-01-31T12:00:00+00:00"
    assert as_moment("2026-01-31T12:00+02:00").utcoffset() == timedelta(hours=2)


def test_what_a_statement_says_can_be_translated() -> None:
    texts = [text for text in vars(statements).values() if isinstance(text, str)]
    said = re.findall(
        r", '((?:[^']|'')+)'(?: as what)?,\s+(?:null::jsonb|jsonb_build_object)", "".join(texts)
    )
    assert {text.replace("''", "'") for text in said} == statements.WORDS


# check, table whose guards are off, statement
BREAKS = [
    (
        "overflow",
        "labeling_reviewtask",
        "update labeling_reviewtask set state = 'waiting' where id in (select task_id from labeling_overflowed)",
    ),
    ("overflow", "labeling_overflowed", "update labeling_overflowed set outcome_id = outcome_id + 7"),
    (
        "acknowledged",
        "labeling_itemkey",
        """
        insert into labeling_itemkey (key_hash, project_id, item_id, input_hash, model_version_id, content_hash, route, policy_number)
        select gen_random_uuid(), project_id, item_id + 7, input_hash, model_version_id, content_hash, route, policy_number
        from labeling_itemkey where route = 'review' limit 1""",
    ),
    ("routes", "labeling_itemkey", "update labeling_itemkey set route = 'auto' where route = 'fallback'"),
    ("routes", "labeling_itemkey", "delete from labeling_itemkey where route = 'fallback'"),
    (
        "routes",
        "labeling_predictionkey",
        """
        insert into labeling_itemkey (key_hash, project_id, item_id, input_hash, model_version_id, content_hash, route, policy_number)
        select gen_random_uuid(), project_id, item_id, input_hash, model_version_id, content_hash, route, policy_number
        from labeling_itemkey where route = 'review' limit 1""",
    ),
    (
        "versions",
        "labeling_prediction",
        """
        with settled as (
            update labeling_predictionkey set model_version_id = (select min(model_version_id) from labeling_prediction)
            where route = 'settled' returning prediction_id, model_version_id)
        update labeling_prediction set model_version_id = settled.model_version_id
        from settled where settled.prediction_id = id""",
    ),
    ("items", "labeling_item", "delete from labeling_item where key = 'review-7'"),
    ("items", "labeling_item", "update labeling_item set input = null where key = 'review-7'"),
    (
        "tasks",
        "labeling_reviewtask",
        """
        delete from labeling_reviewtask task where state = 'claimed' and purpose = 'fallback'""",
    ),
    (
        "decisions",
        "labeling_reviewtask",
        """
        update labeling_reviewtask set state = 'decided', claimed_by_id = null, claim_token = null, claimed_at = null,
        lease_expires_at = null where state = 'claimed' and purpose = 'fallback'""",
    ),
    (
        "decisions",
        "labeling_reviewtask",
        """
        update labeling_reviewtask set state = 'waiting' where id = (
            select task_id from labeling_decision where verdict = 'confirmed' order by id limit 1)""",
    ),
    (
        "labels",
        "labeling_acceptedlabel",
        """
        update labeling_acceptedlabel set decision_id = (select decision_id from labeling_withdrawal limit 1)
        where item_id = (select item_id from labeling_decision d join labeling_withdrawal w on w.decision_id = d.id)""",
    ),
    (
        "datasets",
        "labeling_waitingdecision",
        """
        delete from labeling_waitingdecision where decision_id = (
            select id from labeling_decision where verdict = 'corrected' order by id limit 1)""",
    ),
    (
        "datasets",
        "labeling_waitingdecision",
        """
        insert into labeling_waitingdecision (dataset_id, decision_id, removes, failures)
        select (select min(id) from labeling_dataset), decision_id, false, 0 from labeling_withdrawal""",
    ),
    (
        "feed numbers",
        "labeling_outcomebatch",
        """
        update labeling_outcomebatch set first_number = first_number + 1 where first_number = (
            select max(first_number) from labeling_outcomebatch)""",
    ),
    ("feed numbers", "labeling_feedhead", "update labeling_feedhead set last_number = last_number + 1"),
    (
        "feed entries",
        "labeling_outcomebatch",
        """
        update labeling_outcomebatch set entries = entries[2:] || entries[2]
        where of_predictions and size > 2""",
    ),
    ("revisions", "labeling_outcome", "update labeling_outcome set revision = revision + 1"),
]


@pytest.mark.parametrize(
    ("name", "table", "statement"), BREAKS, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(BREAKS)]
)
def test_what_is_broken_on_purpose_is_found_by_its_check_alone(
    world: LedgerWorld, break_by: Break, name: str, table: str, statement: str
) -> None:
    break_by(table, statement)

    assert set(broken()) == {name}


def test_a_count_that_went_astray_is_found(world: LedgerWorld, break_by: Break) -> None:
    break_by("labeling_trustcell", "update labeling_trustcell set total = total + 1")

    assert set(broken()) == {"rollups"}


def test_outcomes_without_a_number_yet_are_no_gap(world: LedgerWorld) -> None:
    world.accept({"id": "late", "confidence": 0.99})

    assert OutcomeBatch.objects.filter(first_number=None).exists()
    assert broken() == {}


def test_a_corrected_decision_on_the_same_task_is_the_one_that_counts(
    world: LedgerWorld, break_by: Break
) -> None:
    first = standing_decision("confirmed")
    task = ReviewTask.objects.get(pk=first.task_id)
    assert task.state == TaskState.DECIDED
    break_by(
        "labeling_decision",
        """
        insert into labeling_decision (project_id, task_id, item_id, prediction_id, purpose, verdict, output, agreed, note,
            claim_token, request_hash, supersedes_id, guidelines_number, decided_by_id)
        select project_id, task_id, item_id, prediction_id, purpose, 'corrected', '{"label": "b"}', false, '',
            gen_random_uuid(), request_hash, id, guidelines_number, decided_by_id
        from labeling_decision where id = %s
        """,
        first.pk,
    )

    assert "decisions" not in broken()


@pytest.mark.slow
def test_a_look_at_a_short_time_reads_what_happened_in_it(world: LedgerWorld) -> None:
    """On filled tables, keys and outcomes are found through their BRIN indexes: rows of other times are not read."""
    with connection.cursor() as cursor:
        cursor.execute("alter table labeling_outcomebatch disable trigger user")
        cursor.execute(
            """
            insert into labeling_itemkey (key_hash, project_id, item_id, input_hash, model_version_id, content_hash, route, policy_number)
            select gen_random_uuid(), 1, n, gen_random_uuid(), 1, gen_random_uuid(), 'auto', 1 from generate_series(1, 100000) n
            """
        )
        cursor.execute(
            """
            insert into labeling_outcomebatch (project_id, of_predictions, entries, size, first_number, created_at)
            select 0, true, array[n], 1, n, now() - interval '9 days' from generate_series(1, 60000) n
            """
        )
        cursor.execute("alter table labeling_outcomebatch enable trigger user")
    world.accept({"id": "new", "confidence": 0.99})
    number_all_outcomes()
    since = timezone.now() - timedelta(minutes=5)
    with connection.cursor() as cursor:
        cursor.execute(
            "select brin_summarize_new_values('itemkey_by_time'), brin_summarize_new_values('outcomes_by_time')"
        )
        cursor.execute("analyze labeling_itemkey, labeling_outcomebatch")
        for statement in (
            statements.ACKNOWLEDGED,
            statements.ROUTES,
            statements.FEED_DENSE,
            statements.FEED_COMPLETE,
        ):
            values = {"since": first_id_at(since), "since_time": since}
            cursor.execute(
                f"explain (analyze, format json) with {statement} select count(*) from wrong", values
            )
            read = _rows_read(cursor.fetchone()[0][0]["Plan"])
            assert max(read["labeling_itemkey"], read["labeling_outcomebatch"]) < 10_000, read


def _rows_read(plan: dict[str, Any]) -> Counter[str]:
    """Rows that a plan takes from each table, also those that a filter throws away again."""
    found: Counter[str] = Counter()
    if "Relation Name" in plan:
        thrown = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        found[plan["Relation Name"]] += (plan["Actual Rows"] + thrown) * plan["Actual Loops"]
    for part in plan.get("Plans", []):
        found += _rows_read(part)
    return found
