"""A lead who looks again at what was published, and corrects what was wrong."""

import random
from collections.abc import Iterable
from urllib.parse import quote

from labeling.decisions.diffing import equal
from labeling.replay.answers import Habits, answer_task
from labeling.replay.client import Api
from labeling.replay.mapping import Json
from labeling.replay.projects import make_member_key
from labeling.replay.reviewers import Work

LEAD = "simulated-lead"
_SECONDS = 9.0
_REASON = "looked at again after publication"


class Lead:
    """Reopens tasks with a key of their own. Repeating it changes nothing: what is right is left alone."""

    def __init__(self, owner: Api, lead: Api, work: Work) -> None:
        self._owner, self._lead, self._work = owner, lead, work

    def correct(self, items: Iterable[str], *, at_most: int) -> int:
        """Correct the labels that people gave wrongly, the first ones; how many those were."""
        corrected = 0
        for item in items:
            if corrected >= at_most:
                break
            corrected += self._correct(item)
        return corrected

    def _correct(self, item: str) -> bool:
        work, truth = self._work, self._work.truths[item]
        path = f"/projects/{work.project}/predictions/{quote(item, safe='')}/"
        story: Json = self._owner.get(path).expect(200)
        label = story["accepted_label"]
        if not label or not label["output"] or equal(work.task_type, label["output"], truth.output):
            return False
        given = [made["task"] for made in story["decisions"] if made["decision"] == label["decision"]]
        if not given:
            return False
        task = self._lead.post(f"/tasks/{given[0]}/reopen/", {"reason": _REASON}).expect(200)
        answer = answer_task(
            task_type=work.task_type,
            task=task,
            truth=truth,
            labels=work.labels,
            habits=Habits(),
            rng=random.Random(item),
        )
        body: Json = {"token": task["token"], "verdict": answer.verdict, "seconds": _SECONDS}
        if answer.output is not None:
            body["output"] = answer.output
        self._lead.post(f"/tasks/{given[0]}/decision/", body).expect(200, 201)
        return True


def make_lead_key(owner: Api, project: str) -> tuple[int, str]:
    """Id and secret of the lead's key; whoever asks for it revokes it."""
    return make_member_key(owner, project, LEAD, "lead")
