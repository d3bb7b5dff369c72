"""Which prediction a task shows: its own, or for a test item the one that was made up for it."""

from copy import copy

from labeling.ingestion.models import Prediction
from labeling.review.models import Purpose, ReviewTask

__all__ = ["shown_prediction"]


def shown_prediction(task: ReviewTask, prediction: Prediction) -> Prediction:
    """The prediction as the reviewer of this task meets it. Everything that looks at a held task asks here.

    Load tasks with `select_related("sentinel")`: a test item then costs the same statements as real work.
    """
    if task.purpose != Purpose.SENTINEL:
        return prediction
    sentinel, shown = task.sentinel, copy(prediction)
    shown.output, shown.details = sentinel.output, sentinel.details
    shown.period_id, shown.policy_number = sentinel.period_id, sentinel.policy_number
    shown.route, shown.reason, shown.received_at = "review", "medium", task.created_at
    return shown
