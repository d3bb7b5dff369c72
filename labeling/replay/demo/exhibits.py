"""The demo's four projects, in the order in which they are filled. Words and stories only; `models/` makes their cases."""

from labeling.replay.demo.exhibit import Chapter, Exhibit

_DIGITS = Exhibit(
    slug="digits",
    name="Handwritten digits",
    task_type="classification",
    label_schema={"labels": [str(digit) for digit in range(10)]},
    guidelines="""\
# Which digit is it?

Choose the digit you read. The images are small scans of single handwritten digits, drawn larger.

* A seven with a bar is a seven, a one with a foot is a one.
* When two readings are equally good, choose the one you would bet on and leave a note.
* When there is no digit at all, reject the item.
""",
    model="digit-reader",
    item="digit",
    rows_a_day=30,
    chapters=(
        Chapter(0, "1", {"high": 0.95, "low": 0.6, "audit_rate": 0.3}, "The first four days"),
        Chapter(4, "1", {"high": 0.88}, "Lower threshold: blind checks found nothing wrong above it"),
        Chapter(8, "2", note="Version 2, trained on more digits"),
        Chapter(
            27,
            "2",
            {"autonomy": "on", "alpha": 0.05, "assumed_false_accept": 0.05},
            "Autonomy on: at most 5 % of automatic results wrong; reviewers are taken to let 5 % of wrong ones pass",
        ),
    ),
)

_LANGUAGES = Exhibit(
    slug="languages",
    name="Language of a message",
    task_type="classification",
    label_schema={
        "labels": [
            "Afrikaans",
            "Catalan",
            "Czech",
            "Danish",
            "Dutch",
            "Galician",
            "Italian",
            "Norwegian",
            "Portuguese",
            "Slovak",
            "Spanish",
            "Swedish",
        ]
    },
    guidelines="""\
# Which language is this message written in?

Messages go to the team that speaks their language. Choose that language.

* **Danish or Norwegian?** *af* and *ikke mere* are Danish, *av* and *ikke mer* Norwegian.
* **Czech or Slovak?** *ř* and *ě* are Czech, *ľ* and *ô* Slovak.
* **Galician or Portuguese?** *ñ* and *x* for *j* are Galician, *ção* and *nh* Portuguese.
* Names, file types and English words inside a sentence do not count.
* When two languages fit equally well, choose the likelier one and leave a note.
""",
    model="language-router",
    item="message",
    rows_a_day=60,
    chapters=(
        Chapter(0, "1", {"high": 0.9, "low": 0.5, "audit_rate": 0.4}, "Before the cheaper model"),
        Chapter(8, "2", note="Version 2, the cheaper model"),
        Chapter(
            13, "2", {"high": 0.97, "low": 0.6}, "More goes to people: blind checks of version 2 found errors"
        ),
        Chapter(18, "3", note="Version 3, trained on what people decided"),
        Chapter(24, "3", {"high": 0.93}, "Lower threshold for version 3"),
    ),
)

_INVOICES = Exhibit(
    slug="invoices",
    name="Supplier invoices",
    task_type="fields",
    label_schema={"fields": {name: {"type": "string"} for name in ("supplier", "number", "date", "total")}},
    guidelines="""\
# Copy what is printed

Four fields of a scanned invoice. Write them exactly as they stand on the paper.

* **supplier**: the whole name, with *Ltd*, *PLC* or *and Sons*; no address.
* **number**: with *INV-* in front.
* **date**: as printed, such as *04 Mar 2025*.
* **total**: the amount at the bottom, without currency. When it cannot be read, add up the lines.
* A fax that nobody can read is rejected, not guessed.
""",
    model="invoice-reader",
    item="invoice",
    rows_a_day=12,
    chapters=(
        Chapter(0, "1", {"high": 0.97, "low": 0.5, "audit_rate": 0.3}, "The first ten days"),
        Chapter(
            10,
            "1",
            {"overrides": [{"segment": "fax", "force_review": True}]},
            "Every fax goes to a person",
        ),
        Chapter(20, "2", {"high": 0.95}, "Version 2, which knows better how sure it is"),
    ),
)

_BIOPSIES = Exhibit(
    slug="biopsies",
    name="Breast biopsies",
    task_type="classification",
    label_schema={"labels": ["benign", "malignant"]},
    guidelines="""\
# Benign or malignant?

Each item is one smear of a breast biopsy: ten measures of its cell nuclei, with their standard error and the mean of \
the three largest ("worst").

* Nothing that the model calls malignant is applied without a person.
* Look at *concave points*, *perimeter* and *area* of the worst nuclei first.
* In doubt, escalate. This is a demonstration on published data, not a medical device.
""",
    model="biopsy-support",
    item="smear",
    rows_a_day=19,
    chapters=(
        Chapter(
            0,
            "1",
            {
                "high": 0.97,
                "low": 0.6,
                "audit_rate": 0.3,
                "overrides": [{"label": "malignant", "force_review": True}],
            },
            "Version 1, which knows radius and texture",
        ),
        Chapter(9, "2", note="Version 2, which knows all ten means"),
        Chapter(19, "3", note="Version 3, which also knows the worst nuclei"),
        Chapter(25, "3", {"high": 0.93}, "Lower threshold for benign results of version 3"),
    ),
)

EXHIBITS = (_DIGITS, _LANGUAGES, _BIOPSIES, _INVOICES)
