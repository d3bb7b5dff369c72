"""Missed cases of rare labels on the page "Confirmation rates": each with what it is made of and what it does not say."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from labeling.templatetags.interface import thin
from labeling.trust.figures import NOT_FOR_DECISIONS
from labeling.trust.missed_labels import LabelMisses
from labeling.web.trust_explanations import Explanation, method_text
from labeling.web.trust_words import FEWEST, Whisker, range_text, rate_text, whisker
from labeling.web.wording import in_language


@dataclass(frozen=True, slots=True)
class MissRow:
    """A label: its rate or why there is none, its range, how many cases were seen, and where all of it comes from."""

    label: str
    value: str
    range: str
    of: str
    whisker: Whisker | None
    told: Explanation


def miss_rows(misses: Sequence[LabelMisses], *, days: str) -> list[MissRow]:
    """In the order given, the rarest first."""
    return [_row(one, days) for one in misses]


def _row(one: LabelMisses, days: str) -> MissRow:
    rate = one.rate
    few = rate.value is None or rate.n < FEWEST
    value = _("too few to say") if rate.value is not None else _("not known")
    return MissRow(
        label=one.label,
        value=value if few or rate.value is None else rate_text(rate.value),
        range=range_text(rate),
        of=_("%(n)s cases seen, %(missed)s of them in blind checks of automatic results that said something else")
        % {"n": thin(rate.n), "missed": thin(rate.count)}
        if rate.value is not None
        else in_language(rate.note),
        whisker=whisker(rate, 1.0) if rate.value is not None else None,
        told=_explanation(one, days),
    )  # fmt: skip


def _explanation(one: LabelMisses, days: str) -> Explanation:
    rate = one.rate
    numbers = {
        "label": one.label,
        "value": rate_text(rate.value) if rate.value is not None else _("nobody can say how many"),
        "cases": thin(round(one.cases)),
        "missed": thin(one.missed),
        "found": thin(one.found),
        "people": thin(one.by_people),
        "shadowed": thin(one.shadowed),
        "checked": thin(one.checked),
        "automatic": thin(one.automatic),
        "days": days,
    }
    rows = [
        (_("Above"), _("%(missed)s missed, seen in %(checked)s blind checks of %(automatic)s automatic results; each stands for as many results as there are for a check") % numbers),
        (_("Below"), _("about %(cases)s cases: %(people)s labelled by people before use, and those seen by people who were drawn to look (%(missed)s missed, %(found)s found, %(shadowed)s answered by the fallback), each for as many as it stands for") % numbers),
        (_("Who counts"), _("predictions whose true label is %(label)s, by the label that settled them; what cannot be labelled has none") % numbers),
        (_("How"), _("each case seen divided by its chance to be seen (Horvitz–Thompson), missed ones over all")),
        (_("Range"), f"{range_text(rate)}; {method_text(rate)}" if range_text(rate) else method_text(rate)),
    ]  # fmt: skip
    if rate.note and rate.note != NOT_FOR_DECISIONS:
        rows.append((_("Note"), in_language(rate.note)))
    return Explanation(
        _("Missed: %(label)s") % numbers,
        _(
            "Of about %(cases)s predictions (%(days)s) that are truly %(label)s, %(value)s were applied automatically as something else."
        )
        % numbers,
        tuple(rows),
        _("Do not take a small number for safety before its range is small."),
        _(
            "A case is seen only where a blind check was drawn, so few checks leave much room. What people overlook before use, or in a check, is not in it. And it says nothing about how many automatic results are wrong: that is the certificate's."
        ),
    )
