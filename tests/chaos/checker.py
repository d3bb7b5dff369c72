"""Histories against facts: was anything that somebody was told lost, done twice, or given to two people? Pure functions.

Sound rather than complete: a line is only written for what no correct product could have done, whatever the faults were.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.chaos.facts import Facts
from tests.chaos.histories import Line

LABELLED = ("confirmed", "corrected", "labelled")
ACCEPTED = (200, 201)
MARGIN_S = 2.0  # between writing the control file and the end of whatever was begun before that was read


@dataclass
class Findings:
    """Sentences, by what they break."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    held_twice: list[str] = field(default_factory=list)
    feed: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.held_twice, *self.feed, *self.other]


def check(lines: Sequence[Line], facts: Facts, clock: Sequence[tuple[float, float]]) -> Findings:
    """Everything. `clock` says from when on the lease clock was off by how many seconds."""
    found = Findings()
    by_op = _by_op(lines)
    _check_predictions(by_op["predict"], facts, found)
    _check_decisions(by_op["decide"], by_op["undo"], facts, found)
    _check_dataset(facts, found)
    _check_feed(by_op["read"], facts, found)
    _check_outcomes(by_op["predict"], facts, found)
    found.held_twice += find_shared_holds(lines, clock)
    found.other += [f"{line['who']}: {line['request']} -> {line['status']}" for line in by_op["failure"]]
    found.other += facts.complaints
    if facts.open_tasks:
        found.other.append(f"{facts.open_tasks} tasks are still open")
    return found


def _check_predictions(predictions: Iterable[Line], facts: Facts, found: Findings) -> None:
    told: dict[str, int] = {}
    for line in predictions:
        item, prediction = line["item"], line["prediction"]
        if line["status"] not in ("created", "duplicate"):
            found.other.append(f"prediction {item} was answered {line['status']}")
            continue
        if item in told:
            if told[item] != prediction:
                found.doubled.append(
                    f"prediction {item} was acknowledged as {told[item]} and as {prediction}"
                )
            continue
        told[item] = prediction
        there = facts.predictions.get(item, [])
        if not any(row["prediction"] == prediction and row["route"] == line["route"] for row in there):
            found.lost.append(
                f"prediction {item} was acknowledged as {prediction} ({line['route']}), there is {there}"
            )
    for item, there in facts.predictions.items():
        if len(there) > 1:
            found.doubled.append(f"prediction {item} is there {len(there)} times")


def _check_decisions(decisions: list[Line], undone: list[Line], facts: Facts, found: Findings) -> None:
    undone_ids = {line["decision"] for line in undone if line["status"] in ACCEPTED}
    tokens: dict[str, int] = {}
    for line in decisions:
        if line["status"] not in ACCEPTED:
            continue
        number = line["decision"]
        if tokens.setdefault(line["token"], number) != number:
            found.doubled.append(
                f"one claim of task {line['task']} made the decisions {tokens[line['token']]} and {number}"
            )
        there = facts.decisions.get(number)
        if there is None:
            found.lost.append(f"decision {number} about {line['item']} was acknowledged, and is not there")
        elif (there["task"], there["verdict"], there["output"]) != (
            line["task"],
            line["verdict"],
            line["output"],
        ):
            found.lost.append(
                f"decision {number} was acknowledged as {line['verdict']} {line['output']}, there is {there}"
            )
        elif there["withdrawn"] and number not in undone_ids:
            found.lost.append(f"decision {number} is withdrawn, and nobody was told so")
    for number in undone_ids:
        if not facts.decisions.get(number, {}).get("withdrawn"):
            found.lost.append(f"the undoing of decision {number} was acknowledged, and it still counts")
    refused = {line["token"]: line for line in decisions if line["status"] not in ACCEPTED}
    for number, there in facts.decisions.items():
        if there["token"] in refused and there["token"] not in tokens:
            found.doubled.append(
                f"decision {number} was refused with {refused[there['token']]['code']}, and is there"
            )
    per_task = Counter(there["task"] for there in facts.decisions.values() if not there["withdrawn"])
    found.doubled += [
        f"task {task} has {count} effective decisions" for task, count in per_task.items() if count > 1
    ]


def _effective(facts: Facts) -> dict[str, tuple[int, Any]]:
    """The last decision that counts for each item, with its label (none when it was rejected)."""
    return {
        there["item"]: (number, there["output"] if there["verdict"] in LABELLED else None)
        for number, there in sorted(facts.decisions.items())
        if there["counts"] and not there["withdrawn"]
    }


def _check_dataset(facts: Facts, found: Findings) -> None:
    for number, there in facts.decisions.items():
        if there["withdrawn"] or not there["counts"] or there["verdict"] not in LABELLED:
            continue
        times = facts.ledger.get(number, 0)
        if times > 1:
            found.doubled.append(f"decision {number} is {times} times in the ledger")
        elif not times:
            where = "still waits" if number in facts.waiting else "is not even waiting"
            found.lost.append(f"decision {number} about {there['item']} is in no dataset version, it {where}")
    expected = {item: label for item, (_number, label) in _effective(facts).items() if label is not None}
    for item, label in expected.items():
        labels = facts.records.get(item, [])
        if label not in labels:
            found.lost.append(f"record {item} has the labels {labels} instead of {label}")
        elif len(labels) > 1:
            found.doubled.append(f"record {item} is {len(labels)} times in the dataset")
    found.doubled += [
        f"record {item} is in the dataset without a decision"
        for item in facts.records
        if item not in expected
    ]


def _check_feed(reads: Iterable[Line], facts: Facts, found: Findings) -> None:
    numbers = [entry[0] for entry in facts.feed]
    if numbers != list(range(1, len(numbers) + 1)):
        hole = next(n for n, number in enumerate(numbers, 1) if n != number)
        found.feed.append(f"the feed has a hole at {hole}")
    newest: dict[str, int] = {}
    for number, item, revision, _output in facts.feed:
        if revision <= newest.get(item, 0):
            found.feed.append(
                f"entry {number}: revision {revision} of {item} comes after revision {newest[item]}"
            )
        newest[item] = revision
    final = {entry[0]: entry for entry in facts.feed}
    for line in reads:
        expected = line["after"]
        for entry in line["entries"]:
            expected += 1
            if entry[0] != expected:
                found.feed.append(f"{line['who']} read {entry[0]} where {expected} was next")
            if final.get(entry[0]) != entry:
                found.feed.append(f"{line['who']} read {entry}, now it is {final.get(entry[0])}")
            expected = entry[0]


def _check_outcomes(predictions: Iterable[Line], facts: Facts, found: Findings) -> None:
    """Every final item is in the feed, and its last entry says what people decided."""
    last = {entry[1]: entry[3] for entry in facts.feed}
    for item in {line["item"] for line in predictions if line["route"] == "auto"}:
        if item not in last:
            found.lost.append(f"the automatic outcome of {item} is not in the feed")
    for item, (number, label) in _effective(facts).items():
        if label is None and any(row["route"] == "auto" for row in facts.predictions.get(item, [])):
            continue  # a blind check that cannot tell leaves alone what was applied automatically
        if item not in last:
            found.lost.append(f"the outcome of decision {number} about {item} is not in the feed")
        elif last[item] != label:
            found.lost.append(f"the feed says {last[item]} of {item}, decision {number} says {label}")


# --- Two holders -------------------------------------------------------------------------------------------------


@dataclass
class _Hold:
    """What is known of one claim: surely held from `since` on, surely no longer than `until` (given up or run out)."""

    task: int
    token: str
    who: str
    asked: float
    since: float
    expires: float
    given_up: float = float("inf")


def find_shared_holds(lines: Sequence[Line], clock: Sequence[tuple[float, float]]) -> list[str]:
    """What shows that two people had one task at once, of whole histories."""
    found: list[str] = []
    for task, own in _by_task(_holds(_by_op(lines))).items():
        own.sort(key=lambda hold: hold.since)
        for first, second in pairwise(own):
            # Asked for and answered within the time of the first one, by the latest that any clock has said since then: a
            # claim that ran out while the clock was ahead stays lost when the clock has been set right.
            if (
                second.asked > first.since
                and second.since < first.given_up
                and _latest(clock, first.since, second.since) < first.expires
            ):
                found.append(f"task {task} was given to {second.who} while {first.who} held it")
    return found + find_late_answers(lines)


def find_late_answers(lines: Iterable[Line]) -> list[str]:
    """What was accepted of one person after another had been given the task. What part of the histories shows, all of them do:
    it may be asked while a run goes on."""
    by_op = _by_op(lines)
    holds = _holds(by_op)
    by_task = _by_task(holds)
    found: list[str] = []
    for line in (*by_op["decide"], *by_op["heartbeat"], *by_op["release"], *by_op["skip"]):
        hold = holds.get(line["token"])
        if hold is None or line["status"] not in (200, 201, 204):
            continue
        found += [
            f"task {hold.task}: {line['op']} by {line['who']} was accepted after {later.who} had been given it"
            for later in by_task[hold.task]
            if hold.since < later.asked and later.since < line["sent"] and later is not hold
        ]
    return found


def _by_task(holds: Mapping[str, _Hold]) -> dict[int, list[_Hold]]:
    by_task: dict[int, list[_Hold]] = defaultdict(list)
    for hold in holds.values():
        by_task[hold.task].append(hold)
    return by_task


def _by_op(lines: Iterable[Line]) -> dict[str, list[Line]]:
    by_op: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_op[line["op"]].append(line)
    return by_op


def _holds(by_op: dict[str, list[Line]]) -> dict[str, _Hold]:
    holds: dict[str, _Hold] = {}
    for line in by_op["claim"]:
        for task in line["tasks"]:
            if task["token"] in holds:
                continue
            holds[task["token"]] = _Hold(
                task["task"],
                task["token"],
                line["who"],
                line["sent"],
                line["acked"],
                _moment(task["expires_at"]),
            )
    for line in by_op["heartbeat"]:
        if line["status"] == 200 and line["token"] in holds:
            hold = holds[line["token"]]
            hold.expires = min(
                hold.expires, _moment(line["expires_at"])
            )  # it may have been set back with the clock
    for line in (*by_op["decide"], *by_op["release"], *by_op["skip"]):
        if line["token"] in holds:
            holds[line["token"]].given_up = min(holds[line["token"]].given_up, line["sent"])
    return holds


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _latest(clock: Sequence[tuple[float, float]], start: float, end: float) -> float:
    """The latest moment that the lease clock has said at any time between the two."""
    latest = end
    for n, (since, offset) in enumerate(clock):
        until = clock[n + 1][0] if n + 1 < len(clock) else float("inf")
        if since - MARGIN_S <= end and until + MARGIN_S >= start:
            latest = max(latest, min(end, until + MARGIN_S) + offset)
    return latest
