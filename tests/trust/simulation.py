"""Simulated traffic, reviewers and audits for the acceptance tests of the trust mathematics.

`climb` runs many scopes side by side with the product's bets, levels and chains but its own bookkeeping, so that
hundreds of runs take seconds; `drive` sends one scope through the product's controller itself. A test holds the
two against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from scipy.special import ndtri

from labeling.trust import ladder
from labeling.trust.buckets import BUCKET_COUNT, buckets_of
from labeling.trust.evidence import log_mean_exp, log_wealths
from labeling.trust.levels import COVERAGES, GRID_SIZE, Cell, certified_level, freeze_levels

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def confidence_histograms(rng, days, n, shift=0.0):
    """`days` rows of bucket counts of n confidences; logits are normal(2.5 - shift, 1.5)."""
    logits = rng.normal(2.5 - shift, 1.5, (days, n))
    buckets = buckets_of(1.0 / (1.0 + np.exp(-logits)))
    rows = np.repeat(np.arange(days), n)
    return np.bincount(rows * BUCKET_COUNT + buckets.ravel(), minlength=days * BUCKET_COUNT).reshape(
        days, BUCKET_COUNT
    )


# --- profiles: how confidence and error go together -----------------------------------------------------


@dataclass(frozen=True)
class Profile:
    """`draw(rng, shape)` gives confidences and the probability that each is wrong."""

    name: str
    draw: Callable
    masses: list = field(default_factory=list, compare=False)

    def by_bucket(self):
        """(share of traffic, error rate times share) per bucket, from a large sample of its own seed."""
        if not self.masses:
            confidence, error = self.draw(np.random.default_rng(0), 1_000_000)
            bucket = buckets_of(confidence)
            share = np.bincount(bucket, minlength=BUCKET_COUNT) / len(bucket)
            wrong = np.bincount(bucket, error, BUCKET_COUNT) / len(bucket)
            self.masses.extend((share, wrong))
        return self.masses

    def from_cut(self):
        """(share, error rate) of all traffic from bucket b up, arrays of length 58."""
        share, wrong = (np.cumsum(m[::-1])[::-1] for m in self.by_bucket())
        return share, wrong / np.maximum(share, 1e-12)


def _beta(a, b, claim=1.0):
    def draw(rng, shape):
        error = 1.0 - rng.beta(a, b, shape)
        return 1.0 - error * claim, error

    return draw


def _by_rank(error_of_rank):
    """Confidences with logit normal(2.5, 1.5); the error depends on the share of traffic that is more confident."""

    def draw(rng, shape):
        rank = rng.random(shape)
        return _confidence_at(rank), np.broadcast_to(error_of_rank(rank), shape)

    return draw


def _confidence_at(rank):
    return 1.0 / (1.0 + np.exp(-(2.5 + 1.5 * ndtri(np.clip(1.0 - rank, 1e-12, 1 - 1e-12)))))


CALIBRATED = Profile("calibrated", _beta(5.5, 0.35))
EXCELLENT = Profile("excellent", _beta(32.0, 0.32))
OVERCONFIDENT = Profile("overconfident", _beta(5.5, 0.35, claim=1 / 3))
INVERTED = Profile("inverted", _by_rank(lambda rank: np.where(rank < 0.2, 0.08, 0.005)))


def flat(error):
    """Every item is wrong with the same probability: confidence says nothing."""
    return Profile(f"flat {error:.4f}", _by_rank(lambda rank: np.asarray(error)))


def degraded(profile, factor):
    """The same confidences, `factor` times the errors."""

    def draw(rng, shape):
        confidence, error = profile.draw(rng, shape)
        return confidence, np.minimum(1.0, factor * error)

    return Profile(f"{profile.name} x{factor}", draw)


def fraud():
    """Items predicted legitimate, 1 % of them fraud: binormal scores, 2.16 apart. Wrong = fraud let through."""
    share, apart = 0.01, 2.16

    def draw(rng, shape):
        bad = rng.random(shape) < share
        score = rng.normal(0.0, 1.0, shape) - apart * bad
        return 1.0 / (1.0 + np.exp(-(2.5 + 1.5 * score))), bad.astype(float)

    return Profile("fraud", draw)


# --- many scopes at once ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Climb:
    """What became of `runs` scopes; arrays are (runs,) or (runs, looks)."""

    violated: np.ndarray
    share: np.ndarray
    labels: np.ndarray
    items: np.ndarray
    oracle: np.ndarray
    level: np.ndarray
    error: np.ndarray

    def first(self, reached):
        """Labels spent at the first look where `reached` (runs, looks) holds; inf where it never does."""
        ever = reached.any(axis=1)
        at = np.where(ever, reached.argmax(axis=1), 0)
        return np.where(ever, self.labels[np.arange(len(at)), at], np.inf)

    def share_after(self, items):
        return self.share[:, np.searchsorted(self.items, items)]


def climb(
    profile,
    alpha,
    runs,
    items,
    *,
    seed,
    look_every=20,
    climb_rate=0.20,
    floor=0.05,
    delta=0.05,
    cap=1.0,
    coverages=COVERAGES,
    alpha_tested=None,
    false_accept=0.0,
    naive=False,
):
    """Ladders of `runs` scopes over `items` each. `naive`: all labelled, the widest level with agreement >= 1 - alpha.

    alpha_tested: what the labels are tested against, (runs,); alpha when None. Labels arrive at once, no
    detector, no interval between promotions, as in the reference simulations.
    """
    rng = np.random.default_rng(seed)
    share_from, error_from = profile.from_cut()
    first = [buckets_and_errors(profile, rng, (1, GRID_SIZE)) for _ in range(runs)]
    grids = [freeze_levels(np.bincount(b[0], minlength=BUCKET_COUNT).tolist(), coverages) for b, _ in first]
    width = max(map(len, grids))
    cuts = np.full((runs, width), BUCKET_COUNT)
    for run, levels in enumerate(grids):
        cuts[run, : len(levels)] = [level.cut for level in levels]
    start_b = np.concatenate([b for b, _ in first])
    start_e = np.concatenate([e for _, e in first])
    allowed = np.array([ladder.allowed_level(levels, cap) for levels in grids])
    risk = np.append(error_from, 0.0)[np.minimum(cuts, BUCKET_COUNT)]
    coverage = np.append(share_from, 0.0)[np.minimum(cuts, BUCKET_COUNT)]
    bad = risk >= alpha * 0.999
    oracle = np.array([_oracle(bad[run], coverage[run], levels) for run, levels in enumerate(grids)])

    tested = np.full(runs, alpha) if alpha_tested is None else alpha_tested
    bets = _bets(tested, sorted({1.0, climb_rate, floor}))
    wealth = np.zeros((runs, width, 12))
    largest = np.zeros((runs, width))
    counted, wrong = np.zeros((runs, width)), np.zeros((runs, width))
    level, crossed = np.zeros(runs, dtype=int), np.zeros((runs, width), dtype=int)
    rate, spent = np.full(runs, climb_rate), np.zeros(runs)
    violated = np.zeros(runs, dtype=bool)
    out = {"share": [], "labels": [], "items": [], "level": [], "error": []}
    everyone = np.arange(runs)
    for done in range(0, items, look_every):
        if done < GRID_SIZE:
            bucket, error = (x[:, done : done + look_every] for x in (start_b, start_e))
        else:
            bucket, error = buckets_and_errors(profile, rng, (runs, look_every))
        cut = np.where(level > 0, cuts[everyone, level - 1], BUCKET_COUNT)
        auto = bucket >= cut[:, None]
        seen = ~auto | (rng.random(auto.shape) < rate[:, None])
        reported = error & (rng.random(auto.shape) >= false_accept) if false_accept else error
        full_weight = auto | (level == 0)[:, None]
        inside = (bucket[:, :, None] >= cuts[:, None, :]).astype(np.float32)
        for weight, group in ((np.ones(runs), full_weight), (rate, ~full_weight)):
            for outcome in (0, 1):
                mask = (seen & group & (reported == bool(outcome))).astype(np.float32)
                if mask.any():
                    count = np.einsum("ri,rik->rk", mask, inside)
                    wealth += count[:, :, None] * bets[outcome](weight)[:, None, :]
        chance = np.where(auto, rate[:, None], 1.0)
        drawn = (seen / chance).astype(np.float32)
        counted += np.einsum("ri,rik->rk", drawn, inside)
        wrong += np.einsum("ri,rik->rk", drawn * reported, inside)
        spent = spent + seen.sum(axis=1)
        if done + look_every >= GRID_SIZE:
            if naive:
                agrees = (counted >= 30) & (wrong <= alpha * counted) & (cuts < BUCKET_COUNT)
                level = np.where(agrees.any(axis=1), width - agrees[:, ::-1].argmax(axis=1), 0)
            else:
                largest = np.maximum(largest, log_mean_exp(wealth))
                steps = (largest >= -np.log(0.8 * delta)).astype(int) + (largest >= -np.log(0.2 * delta))
                for run in np.flatnonzero((steps != crossed).any(axis=1)):
                    reached = largest[run, : len(grids[run])]
                    level[run] = min(int(certified_level(reached, grids[run], delta)), allowed[run])
                crossed = steps
                above = np.minimum(level, allowed - 1)
                estimate = wrong[everyone, above] / np.maximum(counted[everyone, above], 1.0)
                rate = np.where((level < allowed) & (estimate <= tested), climb_rate, floor)
        violated |= (level > 0) & bad[everyone, level - 1]
        out["share"].append(np.where(level > 0, coverage[everyone, level - 1], 0.0))
        out["error"].append(np.where(level > 0, risk[everyone, level - 1], 0.0))
        out["labels"].append(spent)
        out["level"].append(level.copy())
        out["items"].append(done + look_every)
    return Climb(
        violated=violated,
        share=np.stack(out["share"], axis=1),
        labels=np.stack(out["labels"], axis=1),
        items=np.array(out["items"]),
        oracle=oracle,
        level=np.stack(out["level"], axis=1),
        error=np.stack(out["error"], axis=1),
    )


def _oracle(bad, coverage, levels):
    """The share that someone who knows every error rate would automate on these levels, along the same chains."""
    best = int(certified_level(np.where(bad[: len(levels)], -np.inf, np.inf), levels, 0.5))
    return coverage[best - 1] if best else 0.0


def buckets_and_errors(profile, rng, shape):
    confidence, error = profile.draw(rng, shape)
    return buckets_of(confidence), rng.random(shape) < error


def _bets(tested, rates):
    """For outcome 0 and 1 a function: weights (runs,) -> log wealth change of each gambler (runs, 12)."""
    one = np.ones(1)
    tables = []
    for outcome in (0.0, 1.0):
        table = {
            rate: np.concatenate([log_wealths(one * rate, one, one * outcome, float(a)) for a in tested])
            for rate in rates
        }
        tables.append(table)

    def pick(table):
        def change(weights):
            result = np.zeros((len(weights), 12))
            for rate, rows in table.items():
                result[weights == rate] = rows[weights == rate]
            return result

        return change

    return [pick(table) for table in tables]


# --- one scope through the controller ---------------------------------------------------------------------


@dataclass
class Drive:
    """The history of one scope: a row per look."""

    levels: list = field(default_factory=list)
    epochs: list = field(default_factory=list)
    rates: list = field(default_factory=list)
    alarms: list = field(default_factory=list)
    wrong_unseen: list = field(default_factory=list)
    automatic: int = 0
    wrong: int = 0
    labels: int = 0
    state: ladder.ScopeState = field(default_factory=ladder.ScopeState)
    cells: list = field(default_factory=list)


PERFECT = ladder.ReviewerEvidence()


def drive(profile_at, policy, items, *, seed, look_every=20, per_day=2000, reviewers=PERFECT, feed=True):
    """Send `items` predictions through the controller as the services do: a period per change, cells by period.

    profile_at(done) is the traffic after `done` items. feed=False leaves the detectors out.
    """
    rng = np.random.default_rng(seed)
    drive = Drive()
    state, periods = drive.state, {}
    recent = []
    for done in range(0, items, look_every):
        now = NOON + timedelta(days=done / per_day)
        bucket, error = (x[0] for x in buckets_and_errors(profile_at(done), rng, (1, look_every)))
        cooling = state.cool_down_left > 0
        state = ladder.observe(state, np.bincount(bucket, minlength=BUCKET_COUNT).tolist())
        cut, rate, epoch = state.cut, state.audit_rate or 1.0, state.epoch
        auto = bucket >= cut
        seen = ~auto | (rng.random(look_every) < rate)
        drive.labels += int(seen.sum())
        drive.automatic += int(auto.sum())
        drive.wrong += int((auto & error).sum())
        drive.wrong_unseen.append(int((auto & error & ~seen).sum()))
        if not cooling:
            counts = periods.setdefault((epoch, cut, rate), np.zeros((3, BUCKET_COUNT), dtype=int))
            np.add.at(counts, (0, bucket), 1)
            np.add.at(counts, (1, bucket), seen)
            np.add.at(counts, (2, bucket), seen & error)
        if feed:
            state = ladder.record_audits(
                state, policy, error[auto & seen].astype(int).tolist(), epoch=epoch, now=now
            )
            state = ladder.record_reviews(state, error[~auto].astype(int).tolist(), epoch=epoch)
        if state.epoch != epoch:
            drive.alarms.append(done + look_every)
        recent = [*recent, bucket][-(per_day // look_every) :]
        last_day = np.bincount(np.concatenate(recent), minlength=BUCKET_COUNT).tolist()
        cells = cells_of(periods, state.epoch)
        state = ladder.look(state, policy, cells, reviewers, last_day=last_day, now=now).state
        drive.levels.append(state.level)
        drive.epochs.append(state.epoch)
        drive.rates.append(state.audit_rate)
    return replace(drive, state=state, cells=cells)


def cells_of(periods, epoch):
    cells = []
    for (its_epoch, cut, rate), (total, labelled, errors) in periods.items():
        if its_epoch == epoch:
            for bucket in np.flatnonzero(total).tolist():
                pi, floor = (rate if bucket >= cut else 1.0), (rate if cut < BUCKET_COUNT else 1.0)
                cells.append(
                    Cell(
                        bucket, int(total[bucket]), int(labelled[bucket]), int(errors[bucket]), pi, floor, cut
                    )
                )
    return cells
