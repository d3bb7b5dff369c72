"""Writing a decision and all that follows from it in one statement: task, label, outcome, dataset, counts."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from psycopg.types.json import Json

from labeling.bulk import Prepared
from labeling.datasets.services import offer_decision
from labeling.decisions.models import AcceptedLabel, Decision
from labeling.decisions.services import apply_decision
from labeling.review.models import Purpose, ReviewTask
from labeling.trust.deltas import encode_entries

PARTS = {
    "made": """
    insert into labeling_decision (id, project_id, task_id, item_id, prediction_id, purpose, verdict, output, agreed, note,
                                   seconds, claim_token, request_hash, supersedes_id, guidelines_number, decided_by_id,
                                   claimed_at, decided_at)
    select ids.decision, %(project)s::bigint, %(task)s::bigint, %(item)s::bigint, %(prediction)s::bigint, %(purpose)s::text,
           %(verdict)s::text, %(output)s::json, %(agreed)s::bool, %(note)s::text, %(seconds)s::float8, %(claim_token)s::uuid,
           %(request_hash)s::uuid, %(supersedes)s::bigint, %(guidelines)s::int, %(by)s::bigint,
           %(claimed_at)s::timestamptz, %(at)s::timestamptz
    from ids""",
    "finished": """
    update labeling_reviewtask set state = 'decided', claimed_by_id = null, claim_token = null, claimed_at = null,
                                   lease_expires_at = null, reopened = false
    from ids where labeling_reviewtask.id = %(task)s""",
    "label": """
    update labeling_acceptedlabel set decision_id = ids.decision, output = %(label)s::json, origin = %(origin)s::text,
                                      revision = %(revision)s::int
    from ids where item_id = %(item)s and %(is_work)s::bool""",
    "outcome": """
    insert into labeling_outcome (id, project_id, item_id, prediction_id, output, origin, verdict, decision_id, revision,
                                  decided_at)
    select ids.outcome, %(project)s::bigint, %(item)s::bigint, %(prediction)s::bigint, %(output)s::json, 'human',
           %(verdict)s::text, ids.decision, %(revision)s::int, %(at)s::timestamptz
    from ids where %(is_work)s::bool""",
    "batch": """
    insert into labeling_outcomebatch (project_id, of_predictions, entries, size)
    select %(project)s::bigint, false, array[ids.outcome], 1 from ids where %(is_work)s::bool""",
    "offered": """
    insert into labeling_waitingdecision (dataset_id, decision_id, removes)
    select dataset.id, ids.decision, false from ids cross join labeling_dataset dataset
    where dataset.project_id = %(project)s and %(is_work)s::bool
    returning 1""",
    "delta": """
    insert into labeling_trustdelta (project_id, payload) select %(project)s::bigint, %(delta)s::jsonb from ids""",
}


def write_decision(
    *,
    decision: Decision,
    task: ReviewTask,
    current: AcceptedLabel,
    finishes: bool,
    accepts: bool,
    entries: Sequence[dict[str, Any]],
) -> None:
    """Write the decision, which gets its id here; with `finishes` the task is done, with `accepts` its label counts.

    `current` is the item's row, locked. A test item takes the same statement as real work, but is nobody's label, outcome or
    dataset row.
    """
    task_type = task.project.task_type
    changes = apply_decision(decision=decision, current=current, task_type=task_type) if accepts else None
    applies, offers = changes is not None, accepts and decision.output is not None
    values = values_of(decision, task, current, entries)
    statement = statement_of(finishes=finishes, applies=applies, serves=bool(changes), offers=offers)
    ((decision.pk, offered),) = statement.fetchall(values)
    if accepts and not offered:  # its project has no dataset yet, or the label goes
        offer_decision(decision=decision)


def values_of(
    decision: Decision, task: ReviewTask, current: AcceptedLabel, entries: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What the parts write; `current` as it is once the decision counts."""
    return {
        "project": decision.project_id,
        "task": decision.task_id,
        "item": decision.item_id,
        "prediction": decision.prediction_id,
        "purpose": decision.purpose,
        "verdict": str(decision.verdict),
        "output": None if decision.output is None else Json(decision.output),
        "agreed": decision.agreed,
        "note": decision.note,
        "seconds": decision.seconds,
        "claim_token": decision.claim_token,
        "request_hash": decision.request_hash,
        "supersedes": decision.supersedes_id,
        "guidelines": decision.guidelines_number,
        "by": decision.decided_by_id,
        "claimed_at": decision.claimed_at,
        "at": decision.decided_at,
        "label": None if current.output is None else Json(current.output),
        "origin": current.origin and str(current.origin),
        "revision": current.revision,
        "is_work": task.purpose != Purpose.SENTINEL,
        "delta": encode_entries(entries),
    }


@cache
def statement_of(*, finishes: bool, applies: bool, serves: bool, offers: bool) -> Prepared:
    """The statement with these of its parts: the task is done, the label counts, it is served, it waits for the datasets."""
    wanted = {
        "made": True,
        "finished": finishes,
        "label": applies,
        "outcome": serves,
        "batch": serves,
        "offered": offers,
        "delta": True,
    }
    parts = ", ".join(f"{name} as ({PARTS[name]})" for name, is_wanted in wanted.items() if is_wanted)
    offered = "(select count(*) from offered)" if offers else "0"
    return Prepared(f"""
with ids as materialized (select labeling_next_id() as decision, labeling_next_id() as outcome), {parts}
select ids.decision, {offered} from ids""")
