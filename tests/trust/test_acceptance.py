"""The fifteen acceptance tests of the design: those that need all parts together, controls that stand nowhere else, and that
`docs/trust.md` points at tests that are there."""

from __future__ import annotations

import ast
import math
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from labeling.trust.buckets import BUCKET_COUNT, buckets_of
from labeling.trust.counting import Answer, Told, changes, route_counts, told_by
from labeling.trust.deltas import Place, cell_entry
from labeling.trust.evidence import KAPPAS
from labeling.trust.figures import Stratum, Sums, rates_of
from labeling.trust.folding import Folded
from labeling.trust.ladder import look
from labeling.trust.levels import Cell, Level, level_log_e
from labeling.trust.models import COUNTERS
from labeling.trust.rates import clopper_pearson, confidence_sequence, wilson
from labeling.trust.timegrid import keys_of
from tests.trust.test_ladder import BUSY, NOBODY, NOON, POLICY, SPREAD, alarmed, arrive, evidence, ready

ROOT = Path(__file__).parents[2]
ALPHA, AUDIT_RATE = 0.02, 0.05


# --- 1: known answers ---------------------------------------------------------------------------------------------


def test_control_another_interval_does_not_give_the_known_answers(known_answers):
    own = {
        "cs_beta_binomial_half_delta05": confidence_sequence,
        "clopper_pearson_delta05": clopper_pearson,
        "wilson_delta05": wilson,
    }
    for name, right in own.items():
        for other in {*own.values()} - {right}:
            missed = [
                case
                for case in known_answers[name]
                if other(case["n"], case["s"], 0.05) != pytest.approx((case["lo"], case["hi"]), abs=1e-6)
            ]
            assert len(missed) >= 8, name


# --- 8: step-back -------------------------------------------------------------------------------------------------


def test_control_counts_of_the_old_epoch_would_certify_at_once():
    """What makes a step back last is that its counts are gone: the same ones would lift the level with the next look."""
    before = ready(clean=5000)
    assert before.level > 0
    after = arrive(replace(alarmed(before), cool_down_left=0, changed_at=None), SPREAD)
    forgotten = look(after, POLICY, [], NOBODY, last_day=BUSY, now=NOON + timedelta(days=3)).state
    kept = look(after, POLICY, evidence(5000), NOBODY, last_day=BUSY, now=NOON + timedelta(days=3)).state
    assert forgotten.level == forgotten.certified == 0
    assert kept.certified > 0


# --- 11: metrics under five policies ------------------------------------------------------------------------------

RUNS, DECISIONS = 30, 20_000
POLICIES = {"review all": 1.01, "0.98": 0.98, "0.95": 0.95, "0.90": 0.90, "0.90, top five times worse": 0.90}


def test_model_error_is_the_same_line_under_five_policies():
    """trust.md 1.1: the estimate stays within 0.15 points of the truth; the confirmation rate falls by ten points for the same
    model, and does not move when automatic results get five times worse."""
    found = {name: metrics(high, worse="worse" in name) for name, high in POLICIES.items()}
    for name, (_, estimate, truth, _) in found.items():
        assert abs(estimate - truth) <= 0.0015, name
    confirmed = [confirmation for confirmation, *_ in found.values()]
    assert confirmed[0] - confirmed[3] >= 0.10
    assert abs(confirmed[3] - confirmed[4]) <= 0.005
    assert found["0.90, top five times worse"][2] > 1.5 * found["0.90"][2]


def test_control_checks_counted_without_weights_miss_the_truth():
    """All labels pooled, as if the audited twentieth were as many as the reviewed: far off where much is automatic."""
    _, estimate, truth, pooled = metrics(0.90, worse=False)
    assert abs(estimate - truth) <= 0.0015
    assert abs(pooled - truth) > 0.01


def metrics(high: float, *, worse: bool) -> tuple[float, float, float, float]:
    """Means over many windows: confirmation rate, estimated and true model error, and the share wrong of all labels pooled."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(RUNS):
        risk = np.minimum(rng.beta(0.25, 4.0, DECISIONS), 0.999)
        confidence = 1 - risk
        real = np.where(worse & (confidence >= 0.90), np.minimum(5 * risk, 1.0), risk)
        wrong = rng.random(DECISIONS) < real
        automatic = confidence >= high
        checked = automatic & (rng.random(DECISIONS) < AUDIT_RATE)
        bucket = buckets_of(confidence)
        strata = []
        for number in np.unique(bucket):
            here = bucket == number
            auto, review = here & automatic, here & ~automatic
            sums = Sums(
                total=int(here.sum()),
                auto=int(auto.sum()),
                review=int(review.sum()),
                audit_done=int((here & checked).sum()),
                audit_err=int((here & checked & wrong).sum()),
                confirmed=int((review & ~wrong).sum()),
                corrected=int((review & wrong).sum()),
            )
            strata.append(Stratum(AUDIT_RATE, sums))
        rates = rates_of([strata], anchored=True)[0]
        shares = [rates[name].value or 0.0 for name in ("review_rate", "automation_rate", "fallback_rate")]
        assert sum(shares) == 1.0
        labelled = checked | ~automatic
        found.append(
            (
                rates["confirmation_rate"].value,
                rates["model_error_rate"].value,
                wrong.mean(),
                wrong[labelled].mean(),
            )
        )
    return tuple(np.mean(np.array(found, dtype=float), axis=0).tolist())


# --- 14: rollups are the raw rows ----------------------------------------------------------------------------------

LEVELS = tuple(Level(cut, 0.0, 0.0) for cut in (50, 40, 30, 20))
T0 = datetime(2025, 3, 3, tzinfo=UTC)


class Raw:
    """A prediction as its row tells it: period, bucket, chance of its label, and what it turned out to be (none: no label)."""

    __slots__ = ("bucket", "period", "pi", "place", "route", "told")

    def __init__(self, chance: random.Random, number: int) -> None:
        self.period = number * 7 // 100_000
        self.bucket = min(BUCKET_COUNT - 1, int(chance.triangular(8, 58, 50)))
        self.route = "auto" if self.bucket >= 35 and self.period else "review"
        self.pi = audit_rate(self.period) if self.route == "auto" else 1.0
        hour, day = keys_of(T0 + timedelta(minutes=number), UTC)  # type: ignore[arg-type]
        self.place = Place(hour, day, self.period, 1, self.bucket, None, "a")
        self.told = Told({})


def audit_rate(period: int) -> float:
    return (1.0, 0.2, 0.05, 0.1, 0.2, 0.05, 0.02)[period]


def lived(seed: int, *, late: bool = False) -> tuple[list[Raw], Folded]:
    """100,000 predictions in seven policy periods; labels come late, are corrected, corrected again, and taken back. With `late`
    a label is counted where the newest prediction is, and not where its own is: the mistake that the test must see."""
    chance, folded, rows = random.Random(seed), Folded(), list[Raw]()
    open_ones: list[tuple[Raw, list[Answer]]] = []
    for number in range(100_000):
        row = Raw(chance, number)
        rows.append(row)
        drawn = row.route == "review" or chance.random() < row.pi
        folded.add(1, cell_entry(row.place, route_counts(row.route, drawn=drawn)))
        if drawn:
            open_ones.append((row, []))
        while open_ones and chance.random() < 0.8:
            place = chance.randrange(len(open_ones))
            picked, answers = open_ones[place]
            answers.append(answer_of(picked, chance))
            if len(answers) > 2 and chance.random() < 0.3:
                answers.pop(chance.randrange(len(answers)))
            after = told_by(picked.route, answers, audited=True)
            for told in changes(after, picked.told):
                folded.add(1, cell_entry(row.place if late else picked.place, told.counts, told.truth))
            picked.told = after
            if len(open_ones) > 5_000:
                open_ones[place] = open_ones[-1]
                open_ones.pop()
    folded.resolve(lambda key: True)
    return rows, folded


def answer_of(row: Raw, chance: random.Random) -> Answer:
    wrong = chance.random() < 0.25 - row.bucket / 250
    verdict = "labelled" if row.route == "auto" else "corrected" if wrong else "confirmed"
    return Answer("audit" if row.route == "auto" else "review", verdict, not wrong, "b" if wrong else "a")


def log_e_of_rows(rows: list[Raw], cut: int) -> float:
    """Decision by decision, by the formula of the design, without any sum by cell."""
    wealth = np.zeros(len(KAPPAS))
    bets = (1.0 - np.asarray(KAPPAS)) / (1.0 - ALPHA)
    for row in rows:
        if row.bucket < cut or not row.told.counts:
            continue
        least = audit_rate(row.period) if row.period else 1.0
        wrong = row.told.counts.get("audit_err", 0) or row.told.counts.get("corrected", 0)
        rho = least / row.pi
        wealth += np.log1p(-bets * rho * (1 - ALPHA)) if wrong else np.log1p(bets * rho * ALPHA)
    return float(np.logaddexp.reduce(wealth) - math.log(len(KAPPAS)))


def log_e_of_rollups(folded: Folded) -> list[float]:
    by_place: dict[tuple[int, int], Sums] = {}
    for (_project, _day, period, _mv, bucket), vector in folded.sums["cell"].items():
        by_place[period, bucket] = by_place.get((period, bucket), Sums()).plus(Sums(*vector))
    cells = []
    for (period, bucket), sums in by_place.items():
        rate, begins = audit_rate(period), 35 if period else BUCKET_COUNT
        if sums.auto:
            cells.append(Cell(bucket, sums.auto, sums.audit_done, sums.audit_err, rate, rate, begins))
        if sums.review:
            done = sums.confirmed + sums.corrected
            cells.append(Cell(bucket, sums.review, done, sums.corrected, 1.0, rate, begins))
    return level_log_e(cells, LEVELS, ALPHA).tolist()


@pytest.mark.slow
def test_the_evidence_from_rollups_is_that_of_every_single_decision():
    rows, folded = lived(14)
    for level, log_e in zip(LEVELS, log_e_of_rollups(folded), strict=True):
        assert log_e == pytest.approx(log_e_of_rows(rows, level.cut), abs=1e-9)
    for table in ("hour", "day", "cell", "week"):
        totals = np.array(list(folded.sums[table].values())).sum(axis=0)
        counted = [sum(row.told.counts.get(name, 0) for row in rows) for name in COUNTERS]
        own = dict(zip(COUNTERS, totals.tolist(), strict=True))
        labels = {name: count for name, count in zip(COUNTERS, counted, strict=True) if count}
        assert {name: own[name] for name in labels} == labels, table
        assert own["total"] == 100_000 == own["auto"] + own["review"]


@pytest.mark.slow
def test_control_a_label_counted_where_it_came_and_not_where_it_belongs_is_seen():
    rows, folded = lived(14, late=True)
    try:
        found = log_e_of_rollups(folded)
    except ValueError:
        return  # more labels than decisions in some cell
    assert found[0] != pytest.approx(log_e_of_rows(rows, LEVELS[0].cut), abs=1e-3)


# --- the table of the documents ------------------------------------------------------------------------------------


def named_tests() -> list[tuple[str, str]]:
    """(file, test) of every reference in the table."""
    text = (ROOT / "docs/trust.md").read_text(encoding="utf-8")
    table = text[text.index("### Acceptance tests") : text.index("Long tables:")]
    return re.findall(r"`([\w/]+\.py)::(\w+(?:::\w+)?)`", table)


def names_in(path: Path) -> set[str]:
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names.add(getattr(node, "name", ""))
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}::{child.name}" for child in node.body if isinstance(child, ast.FunctionDef)
            }
    return names


def test_every_acceptance_test_has_a_row_with_a_test_and_a_control():
    text = (ROOT / "docs/trust.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|(.*)\|$", text, flags=re.MULTILINE)
    assert [int(row[0]) for row in rows] == list(range(1, 16))
    assert all(re.search(r"::test_|::Test", row[2]) and "::test_" in row[3] for row in rows)


@pytest.mark.parametrize(("file", "name"), sorted(set(named_tests())))
def test_what_the_table_names_is_there(file: str, name: str):
    assert name in names_in(ROOT / "tests" / file)


def test_control_a_name_that_is_not_there_would_be_missed():
    assert "test_that_nobody_wrote" not in names_in(ROOT / "tests/trust/test_ladder.py")
