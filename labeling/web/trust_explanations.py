"""What a number on the page "Confirmation rates" is made of, and what it does not say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from django.utils.translation import gettext as _

from labeling.templatetags.interface import thin
from labeling.trust.figures import (
    CLOPPER_PEARSON,
    CONFIDENCE_SEQUENCE,
    HORVITZ_THOMPSON,
    NOT_FOR_DECISIONS,
    WEIGHTED,
    Rate,
    Sums,
)
from labeling.web.trust_words import EXPLAINED, range_text, rate_text, titles
from labeling.web.wording import in_language

# Sentence, above and below the line, who counts, how, and the warning with its text.
Texts: TypeAlias = tuple[str, str, str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a number is made of, and what it does not say."""

    title: str
    sentence: str
    rows: tuple[tuple[str, str], ...]
    warning: str
    warning_text: str


def explain_all(rates: Mapping[str, Rate], counts: Sums, *, days: str) -> list[Explanation]:
    """Every number of the page: what a printed page carries along."""
    texts = _explanations(counts)
    return [_explain(name, rates[name], counts, texts[name], days=days) for name in EXPLAINED]


def explain(name: str, rate: Rate, counts: Sums, *, days: str) -> Explanation:
    """The strip that opens beneath a number."""
    return _explain(name, rate, counts, _explanations(counts)[name], days=days)


def _explain(name: str, rate: Rate, counts: Sums, texts: Texts, *, days: str) -> Explanation:
    value = rate_text(rate.value) if rate.value is not None else _("nobody can say how many")
    numbers = {"count": thin(rate.count), "n": thin(rate.n), "days": days}
    numbers |= {"value": value, "total": thin(counts.total)}
    sentence, above, below, who, how, warning, text = texts
    rows = [
        (_("Above"), above % numbers),
        (_("Below"), below % numbers),
        (_("Who counts"), who),
        (_("How"), how),
        (
            _("Range"),
            f"{range_text(rate)}; {method_text(rate)}" if rate.n and range_text(rate) else method_text(rate),
        ),
    ]
    if rate.note and rate.note != NOT_FOR_DECISIONS:
        rows.append((_("Note"), in_language(rate.note)))
    return Explanation(titles()[name], sentence % numbers, tuple(rows), warning, text)


def _explanations(counts: Sums) -> dict[str, Texts]:
    """Sentence, numerator, denominator, population, method, what not to conclude (in short, at length)."""
    routed = _("every prediction that came in; those of items that people had labelled before are left out")
    divided = _("above ÷ below, counted")
    by_route = _(
        "in each policy period and band of confidence wrong ÷ labelled, times how many there were, added up: reviews by their corrections, automatic results by blind checks, fallbacks by the label people gave (where they answer by themselves: to those drawn)"
    )
    skipped = {"skipped": thin(counts.skipped)}
    return {
        "review_rate": (
            _("Of %(n)s predictions (%(days)s), %(count)s went to a person before anything was used."),
            _("%(count)s sent to review"),
            _("%(n)s predictions"),
            routed,
            divided,
            _("Do not read it as quality."),
            _(
                "It says how much people still do. Falling is good as long as what is automatic is right: see wrong among automatic."
            ),
        ),
        "confirmation_rate": (
            _(
                "Of %(n)s predictions (%(days)s) that went to a person and are finished, %(count)s were accepted exactly as the model gave them."
            ),
            _("%(count)s confirmed"),
            _("%(n)s confirmed or corrected"),
            _(
                "reviewed predictions only, counted on the day they came in. Skipped (%(skipped)s), test items and blind checks are left out."
            )
            % skipped,
            divided,
            _("Do not read it as accuracy."),
            _(
                "People see what the model is unsure of. When more becomes automatic, the easy items leave and this falls, although the model is the same; and it does not move when automatic results get worse."
            ),
        ),
        "automation_rate": (
            _("Of %(n)s predictions (%(days)s), %(count)s were used without a person."),
            _("%(count)s automatic"),
            _("%(n)s predictions"),
            routed,
            divided,
            _("Do not read it as success."),
            _(
                "A policy can make everything automatic. Whether that was right is told by blind checks alone."
            ),
        ),
        "fallback_rate": (
            _("Of %(n)s predictions (%(days)s), %(count)s were too unsure to suggest anything."),
            _("%(count)s to the fallback"),
            _("%(n)s predictions"),
            routed,
            divided,
            _("Review, automatic and fallback add up to all."),
            _(
                "What the fallback does, a person without a suggestion or a fixed answer, is in the policy. Of what it answers by itself people label 5 % all the same."
            ),
        ),
        "model_error_rate": (
            _(
                "Of all %(total)s predictions (%(days)s), %(value)s were not what people say: estimated from the %(n)s that have a label."
            ),
            _("%(count)s wrong among the labelled, each weighted by how many it stands for"),
            _("%(n)s labelled, standing for %(total)s predictions"),
            _("all predictions, whatever their route"),
            by_route,
            _("The only line to compare over time."),
            _(
                "It does not depend on the policy, so a change in it is a change of the model or of the items. It is an average: a segment may be far worse."
            ),
        ),
        "served_error_rate": (
            _(
                "Of all %(total)s predictions (%(days)s), %(value)s left the product wrong: automatic ones and those the fallback answered by labels of people drawn at random, reviewed ones by what reviewers let pass on test items."
            ),
            _("%(count)s wrong among the checked, each weighted by how many it stands for"),
            _("%(n)s checked, standing for %(total)s predictions"),
            _("what was served, whatever the route"),
            _(
                "automatic share × its error, plus the same of what the fallback answered, plus reviewed share × what reviewers leave or make wrong"
            ),
            _("Do not read it as quality of the model."),
            _(
                "People repair much of what the model gets wrong before it is used. When more becomes automatic it rises towards the model error."
            ),
        ),
        "auto_error_upper": (
            _(
                "The certificate, as on the page Autonomy: of %(n)s labels of what is automatic now, since the epoch began, %(count)s were wrong."
            ),
            _("%(count)s wrong, or could not be told"),
            _("%(n)s labels: blind checks drawn at random, and reviews from before it was automatic"),
            _("what the level in force automates; where people set the threshold, what that made automatic"),
            _(
                "a bet on fewer errors that pays only when there are fewer (e-process), each label weighted by its chance to be drawn; the bound is what it has refuted, and it allows for what reviewers let pass on test items"
            ),
            _("An upper bound, not an estimate."),
            _("It holds at every look, also when nothing has been proven yet; it falls as checks come in."),
        ),
    }


def method_text(rate: Rate) -> str:
    """How a range was found, and whether it may decide anything."""
    return {
        CONFIDENCE_SEQUENCE: _("95 %, beta-binomial confidence sequence: looking often does not spoil it."),
        CLOPPER_PEARSON: _(
            "95 %, Clopper–Pearson, for this stretch of time: it describes and decides nothing."
        ),
        HORVITZ_THOMPSON: _("± 1.96 standard errors, weighted: it describes and decides nothing."),
        WEIGHTED: _("95 %, from labels weighted by their chance to be drawn, at every look."),
    }.get(rate.method, _("none: nothing is counted yet."))
