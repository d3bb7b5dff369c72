"""Invented contents of the component sheet, as the objects that the templates get from the pages. Nothing is read."""

from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

from django import forms
from django.contrib.messages import constants
from django.contrib.messages.storage.base import Message
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.datasets.differences import Difference
from labeling.datasets.models import Dataset, DatasetVersion
from labeling.datasets.queries import Waiting
from labeling.projects.models import Project
from labeling.trust.figures import POPULATIONS, one_rate
from labeling.web.dataset_changes import Change, Comparison
from labeling.web.datasets import DatasetPage, VersionRow, mix_of
from labeling.web.desk import Desk, GivenAnswer
from labeling.web.editors import FieldRow, FieldsAnswer, LabelChoice, Option, TextAnswer, Word
from labeling.web.forms import PageForm
from labeling.web.suggestions import Suggestion
from labeling.web.traffic import Bar, Traffic
from labeling.web.trust_charts import Chart, Flag, Tick, Trace

LABELS = ("Suspicious", "Legitimate", "Card testing")
LOW, HIGH = 0.7, 0.95


class SampleForm(PageForm):
    """A form of which everything was refused."""

    high = forms.FloatField(
        label=gettext_lazy("High"), max_value=1, help_text=gettext_lazy("From here on, automatic.")
    )
    name = forms.CharField(label=gettext_lazy("Name"))

    def clean(self) -> dict[str, Any]:
        self.add_error(None, _("v7 stays in force."))
        return self.cleaned_data


def frame() -> Any:
    """A project that is a simulation, and stopped."""
    project = Project(slug="sample", name=_("Sample"), simulation=True, policy_number=7)
    stop = SimpleNamespace(
        model_version="flag-gbm 2.4",
        started_at=timezone.now(),
        opened_by=None,
        reason=_("merchant codes changed"),
    )
    return SimpleNamespace(
        project=project, stop=stop, may_lead=True, may_review=True, may_read_items=True, waiting=63, queues=()
    )


def samples() -> dict[str, Any]:
    """By the name the sheet knows it by."""
    return {
        "meters": [
            (0.98, LOW, HIGH, _("above high: automatic")),
            (0.81, LOW, HIGH, _("between: review")),
            (0.52, LOW, HIGH, _("below low: fallback")),
        ],
        "desks": [
            (_("A suggestion"), _desk(1, labels=_labels(0.81), suggestion=_suggestion(LABELS[0], 0.81))),
            (_("Without a suggestion"), _desk(2, labels=_labels(None))),
            (_("Two answers disagree"), _desk(3, labels=_labels(None), given=True)),
            (_("A form"), _desk(4, fields=_fields(), suggestion=_suggestion("", 0.58))),
            (_("A text"), _desk(5, text=_text(), suggestion=_suggestion("", 0.66))),
            (_("Marks"), _desk(6, suggestion=_suggestion("2 × PER", 0.74))),
        ],
        "text": _desk(7, text=_text(), suggestion=_suggestion("", 0.66)),
        "form": SampleForm({"high": "1.2", "name": ""}),
        "messages": [
            Message(constants.SUCCESS, _("Policy v8 is in force.")),
            Message(constants.INFO, _("Nothing waits: v38 has everything.")),
            Message(constants.WARNING, _("The key ends tomorrow.")),
            Message(constants.ERROR, _("This tag is protected.")),
        ],
        "toast": {"text": _("Confirmed as suspicious"), "undo": True},
        "rates": [
            one_rate(n, s, POPULATIONS["confirmation_rate"], anchored=False)
            for n, s in ((5371, 3980), (5, 4), (0, 0))
        ],
        "traffic": _traffic(),
        "chart": _chart(),
        "flags": [Flag("A", "42%", ())],
        "datasets": _datasets(),
        "comparison": _comparison(),
        "no_comparison": Comparison(
            37, 38, "", None, [], _("The storage of the dataset cannot be reached now.")
        ),
    }


def _suggestion(text: str, confidence: float) -> Suggestion:
    why = _("Here because %(confidence)s is between %(low)s and %(high)s (policy v%(number)s).") % {
        "confidence": confidence,
        "low": LOW,
        "high": HIGH,
        "number": 7,
    }
    return Suggestion("flag-gbm 2.4", confidence, LOW, HIGH, 7, why, text, (("latency_ms", 12),))


def _desk(task: int, **answer: Any) -> Desk:
    given: tuple[GivenAnswer, ...] = ()
    if answer.pop("given", False):
        given = tuple(GivenAnswer(number, LABELS[number], "{}") for number in (1, 2))
    kinds = {"fields": "fields", "text": "text", "labels": "classification"}
    return Desk(
        task=task,
        token="",
        until=timezone.now(),
        queue="default",
        kind="review",
        task_type=next((kind for name, kind in kinds.items() if name in answer), "spans"),
        item="txn-88180112",
        segment="online, NL",
        arrived_at=timezone.now() - timedelta(minutes=14),
        blocks=(),
        given=given,
        **{"suggestion": None, "labels": None, "text": None, "fields": None, **answer},
    )


def _labels(suggested: float | None) -> LabelChoice:
    options = tuple(
        Option(
            number=number,
            value=label,
            digit=str(number),
            chip=str(number),
            probability=(suggested if number == 1 else 0.12) if suggested else None,
            is_model=number == 1 and suggested is not None,
            is_chosen=number == 1 and suggested is not None,
        )
        for number, label in enumerate(LABELS, 1)
    )
    return LabelChoice(options=options, top=(), multiple=False)


def _fields() -> FieldsAnswer:
    total = FieldRow("total", "field:total", "string", "41.80", "39.91", 0.58, True, False, True)
    paid = FieldRow("paid", "field:paid", "boolean", "true", "true", 0.64, True, False, False)
    day = FieldRow("date", "field:date", "date", "2026-11-18", "2026-11-18", 0.97, False, False, False)
    return FieldsAnswer((total, paid), (day,), has_confidences=True)


def _text() -> TextAnswer:
    pieces = (
        Word("we swapped the "),
        Word("oaring", 0.5, 0),
        Word(" and "),
        Word("torqued", 0.66, 1),
        Word(" it"),
    )
    return TextAnswer("".join(piece.text for piece in pieces), pieces)


def _traffic() -> Traffic:
    heights = [2, 1, 2, 2, 3, 3, 4, 5, 6, 7, 9, 11, 14, 17, 22, 28, 37, 52, 74, 98]
    tiers = ["fall"] * 14 + ["review"] * 5 + ["auto"]
    bars = tuple(
        Bar(index * 50 + 2, 100 - height, height, tier)
        for index, (height, tier) in enumerate(zip(heights, tiers, strict=True))
    )
    return Traffic(
        date(2026, 11, 14), date(2026, 11, 20), 8412, 6210, 1898, 304, 310, LOW, HIGH, bars, (0.65,)
    )


def _chart() -> Chart:
    band = "M0 12L250 20L500 27L750 31L1000 37L1000 63L750 53L500 45L250 32L0 18Z"
    trace = Trace("confirm", _("confirmed unchanged"), band, "M0 15L250 26L500 36L750 42L1000 50", ())
    return Chart(
        title=_("Confirmation rate"),
        caption=_("Of those reviewed. The axis starts at 60 %."),
        label=_("The confirmation rate falls from 94 % to 80 %."),
        height=160,
        rows=(Tick("100%", "60 %"), Tick("50%", "80 %"), Tick("0%", "100 %")),
        columns=(Tick("0%", "1 Sep", "start"), Tick("50%", "15 Sep"), Tick("100%", "30 Sep", "end")),
        traces=(trace,),
        base=0.6,
    )


def _datasets() -> DatasetPage:
    counts = dict(zip(LABELS, (31, 24, 6), strict=True))
    versions = [
        DatasetVersion(
            number=number,
            parent=number - 1,
            digest="7c1e" * 16,
            added=added,
            changed=changed,
            removed=removed,
            rows_live=rows,
            split_counts={"train": rows - 6200, "validation": 3100, "test": 3100},
            label_counts=counts,
            schema_number=2,
            note=note,
            created_at=timezone.now() - timedelta(days=38 - number),
        )
        for number, added, changed, removed, rows, note in (
            (38, 1204, 91, 2, 61272, ""),
            (37, 1187, 64, 0, 60070, ""),
            (36, 402, 388, 0, 58883, _("Relabelled refunds after guideline 5")),
        )
    ]
    rows = [
        VersionRow(
            version,
            ["guideline-5"] if version.number == 36 else [],
            mix_of(counts, LABELS),
            version.number == 38,
        )
        for version in versions
    ]
    return DatasetPage(
        dataset=Dataset(slug="main", head=38),
        waiting=Waiting(650, timezone.now() - timedelta(minutes=11), 0, None),
        versions=rows,
        legend=list(enumerate(LABELS, 1)),
        older_before=36,
        picked=versions[0],
        comparison=_comparison(),
        address="/",
    )


def _comparison() -> Comparison:
    changes = [
        Change("txn-88213871", "added", "", LABELS[1], "train", 38),
        Change("txn-88180112", "changed", LABELS[0], LABELS[2], "test", 38),
        Change("txn-87990417", "removed", LABELS[1], "", "train", 38),
    ]
    return Comparison(37, 38, "", Difference(1204, 91, 2, [], "txn-88213871"), changes, "")
