"""Another `low`, as a sentence for whoever decides: what was seen, what would change, and a way to look at it as a draft."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from labeling.projects.models import Project
from labeling.templatetags.interface import percent, thin
from labeling.trust.low import ProposedLow, read_proposed_low
from labeling.web.policy_form import decimal_text
from labeling.web.trust_words import range_text, rate_text


@dataclass(frozen=True, slots=True)
class LowWords:
    """A proposal in words. `low` is what the link fills in."""

    title: str
    text: str
    more: str
    low: str


def find_low_words(project: Project) -> LowWords | None:
    """What to say to a lead; none where there is nothing to propose."""
    found = read_proposed_low(project)
    return None if found is None else _words(found)


def _words(found: ProposedLow) -> LowWords:
    proposal, rate = found.proposal, found.rate
    values = {
        "begin": decimal_text(round(proposal.begin, 4)),
        "end": decimal_text(round(proposal.end, 4)),
        "version": found.model_version,
        "n": thin(rate.n),
        "right": thin(rate.count),
        "rate": rate_text(rate.value or 0.0),
        "range": range_text(rate),
        "low": decimal_text(round(proposal.low, 4)),
        "share": percent(found.share, 1),
        "per_day": thin(round(found.per_day)),
    }
    if proposal.raises:
        title = _("Reviewing costs more than it saves from %(begin)s to %(end)s")
        text = _("Of %(n)s suggestions of %(version)s with these confidences people left %(right)s unchanged: %(rate)s (%(range)s, true at every look with 95 %%). Below half, labelling without a suggestion is quicker. With low at %(low)s the fallback takes them: %(share)s of the traffic, about %(per_day)s a day.")  # fmt: skip
        more = _("Of what the fallback answers by itself people go on labelling 5 %%, drawn at random, so that it is seen when the suggestions get better.")  # fmt: skip
    else:
        title = _("Suggestions would save work from %(begin)s to %(end)s")
        text = _("Of %(n)s predictions of %(version)s with these confidences that people labelled without seeing them, %(right)s were right: %(rate)s (%(range)s, true at every look with 95 %%). Above half, a suggestion is quicker. With low at %(low)s they are reviewed with it: %(share)s of the traffic, about %(per_day)s a day.")  # fmt: skip
        more = ""
    return LowWords(
        title=title % values,
        text=text % values,
        more=more % values if found.fallback != "manual" else "",
        low=decimal_text(proposal.low),
    )
