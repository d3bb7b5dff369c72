"""Projects of every kind with something in them, invented here, and the addresses of all pages."""

from __future__ import annotations

import base64
import random
import struct
import zlib
from typing import Any

from labeling.datasets.models import Dataset, DatasetEntry
from labeling.datasets.services import publish, request_publication
from labeling.decisions.models import Decision
from labeling.ingestion.models import Item
from labeling.projects.accounts import make_password_link
from labeling.projects.invitations import invite
from labeling.projects.models import Project
from labeling.trust.services import fold_deltas
from tests.journeys.desk import send
from tests.world import World

DISPUTES = [
    "Card testing", "Lost card", "Stolen card", "Account takeover", "Skimming", "Phishing", "Unknown online charge",
    "Duplicate charge", "Wrong amount", "Wrong currency", "Subscription not ended", "Trial became paid",
    "Goods not received", "Not as described", "Refund missing", "Cash not dispensed", "Merchant error",
    "Family member used it", "Customer forgot", "Not a dispute",
]  # fmt: skip
MESSAGE = """Hello, I have just looked at my statement and there are two charges of 49.90 € from FITLINE STUDIO, one minute apart.

I was a member there until August and cancelled by e-mail on 12 August, which they confirmed. My card has been in my wallet \
the whole time and nobody else uses it.

Please return both amounts and stop them from charging me again."""
TRANSACTIONS = [
    {
        "date": "3 Nov 07:12",
        "merchant": "FITLINE STUDIO",
        "kind": "recurring, no card present",
        "amount": 49.9,
    },
    {
        "date": "3 Nov 07:11",
        "merchant": "FITLINE STUDIO",
        "kind": "recurring, no card present",
        "amount": 49.9,
    },
]
HANDOVER = (
    "Line four, night shift. Filler head three leaked again around two fifteen, we swapped the oaring and torqued it to "
    "eighteen newton metres. Labeller stopped twice for web breaks, roll lot 7714 is bad, quarantined on pallet twelve."
)
DOUBTFUL = {"oaring": 0.5, "torqued": 0.66, "7714": 0.58}
RECEIPT = [
    ("NORDHOF HARDWARE", 150, 44, 290, 64), ("Industriestr. 14, 28199 Bremen", 94, 67, 346, 86),
    ("2026-11-18 16:22", 266, 129, 406, 147), ("HEX BOLT M8x40 50 PC", 40, 175, 210, 193), ("12.40", 360, 175, 400, 193),
    ("SUBTOTAL", 40, 309, 110, 327), ("41.80", 360, 309, 400, 327), ("TOTAL EUR", 40, 383, 120, 405),
    ("39.91", 360, 383, 400, 405),
]  # fmt: skip


def picture(width: int, height: int) -> str:
    """A grey gradient as a data: URI."""
    rows = b"".join(b"\x00" + bytes(x * 200 // width + 30 for x in range(width)) for _row in range(height))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def build(world: World) -> dict[str, str]:
    """Make everything; the names and addresses of the pages to look at."""
    _disputes(world)
    pages = {
        "home": "/",
        "keys": "/keys/",
        "components": "/components/",
        "ledger": "/ledger/",
        "alerts": "/alerts/",
        "alert-recipients": "/alerts/recipients/",
        "account": "/account/",
        "my-keys": "/account/keys/",
        "project-new": "/projects/new/",
        "missing": "/projects/nope/",
    }
    base = "/projects/dispute-reasons/"
    for name in (
        "guidelines",
        "settings",
        "trust",
        "autonomy",
        "policy",
        "models",
        "items",
        "datasets",
        "people",
    ):
        pages[name] = f"{base}{name}/"
    pages |= {"overview": base, "history": f"{base}audit/", "item": f"{base}items/dsp-0/"}
    record = DatasetEntry.objects.filter(dataset__project__slug="dispute-reasons", op="a").first()
    key = Item.objects.get(pk=record.item_id).key if record else ""
    pages |= {
        "dataset-version": f"{base}datasets/versions/2/",
        "dataset-difference": f"{base}datasets/versions/1/diff/2/",
        "dataset-record": f"{base}datasets/records/?id={key}",
        "dataset-record-unknown": f"{base}datasets/records/?id=nope",
        "dataset-empty": "/projects/invoice-lines/datasets/",
        "filter": f"{base}review/default/filter/",
        "mine": f"{base}tasks/mine/",
        "claims": f"{base}claims/",
        "sign-in": "/account/sign-in/",
        **_links(world),
    }
    world.make_project("invoice-lines", "fields", simulation=True)
    pages["first-steps"] = "/projects/invoice-lines/"
    for slug, task_type, schema, policy, row in _desks():
        more = {"label_schema": schema} if schema else {}
        project = world.make_project(
            slug, task_type, policy={"audit_rate": 0, "sentinel_rate": 0, **policy}, **more
        )
        if row:
            send(world, project, {"id": f"{slug}-1", **row}, {"id": f"{slug}-2", **row})
        else:
            send(world, project, {"confidence": 0.99})
        pages[f"review-{slug}"] = f"/projects/{slug}/review/{'default/' if slug == 'labels' else ''}"
    pages |= {"items-search": f"{base}items/?q=nothing+like+it&label=Phishing"}
    fold_deltas()
    return pages


def _links(world: World) -> dict[str, str]:
    """What people reach before they are signed in."""
    project = Project.objects.get(slug="dispute-reasons")
    _invitation, join = invite(project=project, name="Ida", role="reviewer", by=world.otto.actor)
    _link, password = make_password_link(user=world.rolf.user, by=world.ada.actor)
    return {"link-join": f"/link/join/{join}/", "link-password": f"/link/password/{password}/"}


def _disputes(world: World) -> None:
    chance = random.Random(1)
    project = world.make_project(
        "dispute-reasons",
        label_schema={"labels": DISPUTES},
        policy={
            "high": 0.9,
            "low": 0.6,
            "sentinel_rate": 0,
            "overrides": [{"label": "Phishing", "force_review": True}],
        },
        guidelines="# What counts\n\nRead the **whole** message.\n\n- Two charges: look at the dates\n- `None fits` when unsure",
    )
    rows = []
    for number in range(120):
        label = chance.choice(DISPUTES)
        confidence = round(min(0.999, chance.betavariate(7, 1.2)), 4)
        rows.append(
            {
                "id": f"dsp-{number}",
                "prediction": {"label": label},
                "confidence": confidence,
                "segment": "e-mail",
            }
        )
    send(world, project, *rows)
    dataset = Dataset.objects.get(project=project)
    for who, note, tag in (("rita", "Before the new guideline", "train-7"), ("ada", "", None)):
        _decide_some(world, project, who, chance)
        _correct_some(world, project)
        request_publication(dataset=dataset, by=world.lea.actor, note=note, tag=tag)
        publish(dataset.pk)
    world.api("rolf", at=project).claim(2)


def _decide_some(world: World, project: Project, who: str, chance: random.Random) -> None:
    api = world.api(who, at=project)
    for number, task in enumerate(api.claim(9)):
        label = {"label": chance.choice(DISPUTES)}
        if task["kind"] != "review":
            api.decide(task, "labelled", label, seconds=5.2).expect(201)
        elif number % 3 or task["prediction"] == label:
            api.decide(task, "confirmed", seconds=2.1).expect(201)
        else:
            api.decide(task, "corrected", label, seconds=6.4).expect(201)


def _correct_some(world: World, project: Project) -> None:
    """What is published and was wrong: a record with another label, and one that should not be there."""
    lea = world.api("lea", at=project)
    published = DatasetEntry.objects.filter(dataset__project=project).order_by("pk")[:2]
    for verdict, entry in zip(("corrected", "rejected")[: len(published)], published, strict=True):
        task = Decision.objects.get(pk=entry.decision_id).task_id
        again = lea.post(f"/tasks/{task}/reopen/", {}).expect(200)
        known = str((again["prediction"], again["corrects"]["output"]))
        output = [{"label": next(label for label in DISPUTES if label not in known)}]
        lea.decide(again, verdict, *(output if verdict == "corrected" else []), seconds=8.0).expect(201)


def _desks() -> list[tuple[str, str, Any, dict[str, Any], dict[str, Any] | None]]:
    """Slug, task type, label schema, policy and prediction of one project for each look of the desk."""
    fields = {
        "company": "NORDHOF HARDWARE",
        "address": "Industriestr. 14, 28199 Bremen",
        "date": "2026-11-18",
        "total": "41.80",
    }
    lines = [{"text": text, "box": box} for text, *box in RECEIPT]
    words = [{"text": word, "confidence": DOUBTFUL.get(word, 0.95)} for word in HANDOVER.split()]
    letter = {"subject": "Two charges from FITLINE STUDIO", "text": MESSAGE, "transactions": TRANSACTIONS}
    chances = {"Subscription not ended": 0.81, "Duplicate charge": 0.12, "Phishing": 0.01}
    dispute = {"input": letter, "prediction": {"label": "Subscription not ended"}, "probabilities": chances}
    return [
        ("labels", "classification", {"labels": DISPUTES}, {}, {**dispute, "explanation": {"words": ["two charges"]}}),
        ("many-labels", "classification", {"labels": [*DISPUTES, "Other"]}, {}, dispute),
        ("tags", "multilabel", {"labels": ["angry", "refund", "fraud"]}, {}, {"prediction": {"labels": ["angry", "fraud"]}}),
        ("transcript", "text", None, {}, {
            "input": {"audio": "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=", "shift": "night"},
            "prediction": {"text": HANDOVER, "words": words},
        }),
        ("line", "text", None, {}, {
            "input": {"image": picture(280, 25), "width": 280, "height": 25}, "prediction": {"text": "TOTAL 39.91"},
        }),
        ("receipt", "fields", {"fields": {name: {} for name in fields}}, {}, {
            "input": {"lines": lines, "page": {"width": 440, "height": 560}},
            "prediction": {"fields": fields, "confidences": {"company": 0.99, "address": 0.64, "date": 0.97, "total": 0.58}},
        }),
        ("blind", "classification", {"labels": ["cat", "dog", "bird"]}, {}, {
            "confidence": 0.2, "prediction": {"label": "cat"},
            "input": {"html": "<h1>Hi</h1><script>1</script><p>It <b>barks</b>.</p>", "meta": {"by": {"name": "Tom"}, "sizes": [1, 2]}},
        }),
        ("marks", "spans", {"labels": ["PER", "LOC"]}, {}, {
            "input": {"text": "Anna in Rome"}, "prediction": {"spans": [{"start": 0, "end": 4, "label": "PER"}]},
        }),
        ("boxes", "boxes", {"labels": ["bolt"]}, {}, {
            "input": {"image": picture(320, 200), "width": 320, "height": 200},
            "prediction": {"boxes": [{"x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4, "label": "bolt"}]},
        }),
        ("nothing", "classification", None, {}, None),
    ]  # fmt: skip
