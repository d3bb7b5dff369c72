"""Putting a policy in force with what past traffic says about it: a limit that would let every case of a rare label through is refused."""

from collections.abc import Mapping
from typing import Any

from django.db import connection

from labeling.errors import FieldError, InvalidError, say
from labeling.history.actor import Actor
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.routing import services as routing
from labeling.routing.models import PolicyVersion
from labeling.routing.policy import compile_policy
from labeling.trust.minorities import unprotected_labels

_LEAST_LABELS = 500
_MOST_LABELS = 5_000

# What people said of reviewed predictions counts once, of drawn ones for all that were not drawn. What a recall brought back was not
# drawn, and those that were stand for it.
_SHARES = """
    select label, sum(weight), count(*) from (
        select decision.output->>'label' as label,
               case when decision.purpose in ('audit', 'shadow') then 1 / prediction.audit_probability else 1 end as weight
        from labeling_decision decision
        join labeling_prediction prediction on prediction.id = decision.prediction_id
        where decision.project_id = %(project)s and decision.output->>'label' is not null
          and decision.purpose in ('review', 'audit', 'fallback', 'shadow')
          and (prediction.route <> 'auto' or decision.purpose = 'audit')
          and not exists (select from labeling_withdrawal where decision_id = decision.id)
        order by decision.id desc limit %(most)s
    ) told group by 1
"""


def publish_policy(*, project: Project, body: Any, by: Actor, note: str = "", at: str = "") -> PolicyVersion:
    """Check a policy against the labels that people have given, and put it in force. InvalidError names what is wrong."""
    policy = compile_policy(body, schema=get_output_schema(project), at=at)
    if policy.is_earned:
        shares = label_shares(project)
        exposed = unprotected_labels(shares, policy.body["alpha"], policy.body["alpha_by_label"])
        if exposed:
            detail = say(
                "{label!r} is {share:.1%} of the items: at this limit every one of them could be missed. "
                "Give the other labels a smaller limit in alpha_by_label.",
                label=exposed[0],
                share=shares[exposed[0]],
            )
            raise InvalidError(
                "rare_label_unprotected",
                detail,
                [FieldError(f"{at}/alpha", "rare_label_unprotected", detail)],
            )
    return routing.publish_policy(project=project, body=body, by=by, note=note, at=at)


def label_shares(project: Project) -> Mapping[str, float]:
    """Share of each true label, by what people said of at least 500 items; empty where that is not known."""
    with connection.cursor() as cursor:
        cursor.execute(_SHARES, {"project": project.pk, "most": _MOST_LABELS})
        rows = cursor.fetchall()
    if sum(count for *_, count in rows) < _LEAST_LABELS:
        return {}
    total = sum(weight for _, weight, _ in rows)
    return {label: float(weight / total) for label, weight, _ in rows}
