"""Invoices: made up by Faker, drawn by Pillow, scanned badly, and read by a small recogniser of letters.

The reader is told where each field stands (as a layout model would tell it) and where its letters are; which letters they
are it reads from the pixels. It was trained on other invoices. Version 1 knows letters only; version 2 also knows that a
number has no letters, which months there are, and what a date and an amount look like. The confidence of a field is the
product of its letters', that of the invoice the product of its fields'.
"""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from faker import Faker
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from labeling.replay.demo.exhibit import Case
from labeling.replay.mapping import Json

_SEED = 7
_TRAINING, _CALIBRATION, _SHOWN = 180, 60, 360
_WIDTH, _HEIGHT = 600, 410
_SIZE, _SMALL = 20, 14
_TALL, _WIDE = 24, 18  # of what the reader sees of one letter, in pixels
_SHRINK = 3  # it is a small reader: it looks at the scan from far away
_SCANS = {"clean": 6.0, "copy": 14.0, "fax": 22.0}  # how strong the noise is, in shades of grey
_GRAIN = 2  # pixels
_BLUR = 0.9
_TEMPERATURES = (1.0, 1.4, 2.0, 2.8, 4.0)
_QUALITY = 25
_DIGITS = "0123456789"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PLACES = {"supplier": (32, 24), "number": (410, 100), "date": (410, 130), "total": (410, 362)}


@dataclass(frozen=True, slots=True)
class Invoice:
    """What is printed on one: the four fields to read, and what stands around them."""

    fields: dict[str, str]
    address: tuple[str, ...]
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """Which letter each crop shows. A temperature above 1 makes it less sure of itself."""

    letters: Any
    model: LinearDiscriminantAnalysis
    temperature: float = 1.0

    def read(self, crops: Any, allowed: Sequence[str]) -> tuple[str, float]:
        """A field's text and how sure the reader is of it; `allowed` has the letters each place may hold, "" for any."""
        text, sure = "", 1.0
        for shares, letters in zip(self.shares(crops), allowed, strict=True):
            fitting = np.where(np.isin(self.letters, list(letters)), shares, 0.0) if letters else shares
            fitting = fitting / max(float(fitting.sum()), 1e-12)
            text += str(self.letters[fitting.argmax()])
            sure *= float(fitting.max())
        return text, sure

    def shares(self, crops: Any) -> Any:
        """Probabilities (crops x letters)."""
        scaled = self.model.predict_log_proba(crops) / self.temperature
        shares = np.exp(scaled - scaled.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)

    def calibrated(self, crops: Any, letters: Sequence[str]) -> "Reader":
        """The same reader at the temperature that makes these letters likeliest."""
        places = {str(letter): place for place, letter in enumerate(self.letters)}
        known = [number for number, letter in enumerate(letters) if letter in places]
        truth = [places[letters[number]] for number in known]

        def likelihood(temperature: float) -> float:
            shares = replace(self, temperature=temperature).shares(crops[known])
            return float(np.log(shares[range(len(known)), truth] + 1e-12).sum())

        return replace(self, temperature=max(_TEMPERATURES, key=likelihood))


def make_cases() -> list[Case]:
    """Scanned invoices that the reader was not trained on."""
    faker = Faker("en_GB")
    faker.seed_instance(_SEED)
    rng = np.random.default_rng(_SEED)
    scans = list(_SCANS)
    font = ImageFont.load_default(_SIZE)
    reader = _trained(*_letters(faker, rng, font, _TRAINING))
    readers = {"1": reader, "2": reader.calibrated(*_letters(faker, rng, font, _CALIBRATION))}
    return [_case(_invoice(faker), str(rng.choice(scans)), rng, font, readers) for _ in range(_SHOWN)]


def _case(invoice: Invoice, scan: str, rng: Any, font: Any, readers: dict[str, Reader]) -> Case:
    page = _scanned(invoice, _SCANS[scan], rng, font)
    return Case(
        input={"image": _picture(page)},
        segment=scan,
        predictions={
            version: _said(reader, page, invoice, font, knows_forms=version == "2")
            for version, reader in readers.items()
        },
        truth={"fields": dict(invoice.fields)},
    )


def _said(reader: Reader, page: Any, invoice: Invoice, font: Any, *, knows_forms: bool) -> Json:
    fields, confidences, boxes = {}, {}, {}
    for name, printed in invoice.fields.items():
        places = [place for place, letter in enumerate(printed) if letter != " "]
        allowed = [_allowed(name, printed, place) if knows_forms else "" for place in places]
        letters, sure = reader.read(_crops(page, printed, _PLACES[name], font), allowed)
        letter = iter(letters)
        fields[name] = "".join(" " if one == " " else next(letter) for one in printed)
        if knows_forms and name == "date":
            fields[name] = _with_month(fields[name])
        confidences[name] = round(sure, 4)
        boxes[name] = _box(name, printed, font)
    together = float(np.prod(list(confidences.values())))
    prediction = {"fields": fields, "confidences": confidences, "boxes": boxes}
    return {"prediction": prediction, "confidence": round(together, 4)}


def _allowed(name: str, printed: str, place: int) -> str:
    """What may stand at a place by the form of the field alone."""
    if name == "number":
        return "INV" if place < 3 else "-" if place == 3 else _DIGITS
    if name == "total":
        return "." if place == len(printed) - 3 else _DIGITS
    if name == "date" and place not in range(3, 6):
        return _DIGITS
    return ""


def _with_month(read: str) -> str:
    """The month that shares most letters with what was read."""
    day, month, year = read.split(" ")
    best = max(_MONTHS, key=lambda one: sum(a == b for a, b in zip(one, month, strict=True)))
    return f"{day} {best} {year}"


def _invoice(faker: Faker) -> Invoice:
    day: date = faker.date_between_dates(date(2024, 1, 1), date(2025, 12, 31))
    amounts = [faker.random_int(450, 90_000) for _ in range(faker.random_int(2, 4))]
    return Invoice(
        fields={
            "supplier": faker.company().replace(",", ""),
            "number": f"INV-{faker.random_int(10_000, 99_999)}",
            "date": f"{day.day:02d} {_MONTHS[day.month - 1]} {day.year}",
            "total": f"{sum(amounts) / 100:.2f}",
        },
        address=(faker.street_address().replace("\n", ", "), f"{faker.city()} {faker.postcode()}"),
        lines=tuple((faker.catch_phrase(), f"{amount / 100:.2f}") for amount in amounts),
    )


def _scanned(invoice: Invoice, noise: float, rng: Any, font: Any) -> Any:
    """The page as shades of grey (height x width), printed, blurred and with the noise of the scanner."""
    image = Image.new("L", (_WIDTH, _HEIGHT), 248)
    draw = ImageDraw.Draw(image)
    small = ImageFont.load_default(_SMALL)
    for name, text in invoice.fields.items():
        draw.text(_PLACES[name], text, font=font, fill=35)
    captions = {"number": "Invoice no.", "date": "Date", "total": "Total"}
    for name, text in captions.items():
        draw.text((310, _PLACES[name][1] + 5), text, font=small, fill=70)
    for number, text in enumerate(invoice.address):
        draw.text((32, 56 + 20 * number), text, font=small, fill=70)
    draw.line((32, 190, 568, 190), fill=110)
    for number, (what, amount) in enumerate(invoice.lines):
        draw.text((32, 206 + 32 * number), what, font=small, fill=60)
        draw.text((500, 206 + 32 * number), amount, font=small, fill=60)
    draw.line((32, 346, 568, 346), fill=110)
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(_BLUR)), dtype=float)
    coarse = rng.normal(0.0, noise, (_HEIGHT // _GRAIN, _WIDTH // _GRAIN)).repeat(_GRAIN, 0).repeat(_GRAIN, 1)
    return np.clip(blurred + coarse, 0, 255)


def _letters(faker: Faker, rng: Any, font: Any, invoices: int) -> tuple[Any, list[str]]:
    """The letters of so many new invoices: crops (letters x pixels) and which they are. Each kind of scan in turn."""
    crops: list[Any] = []
    letters: list[str] = []
    scans = list(_SCANS.values())
    for number in range(invoices):
        invoice = _invoice(faker)
        page = _scanned(invoice, scans[number % len(scans)], rng, font)
        for name, printed in invoice.fields.items():
            crops.append(_crops(page, printed, _PLACES[name], font))
            letters += printed.replace(" ", "")
    return np.vstack(crops), letters


def _trained(crops: Any, letters: list[str]) -> Reader:
    """Letters that were met only once tell nothing about their spread and are left out."""
    counts = Counter(letters)
    kept = [place for place, letter in enumerate(letters) if counts[letter] > 1]
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
    model.fit(crops[kept], [letters[place] for place in kept])
    return Reader(model.classes_, model)


def _crops(page: Any, printed: str, place: tuple[int, int], font: Any) -> Any:
    """What the reader sees of each letter (letters x pixels), in shades from 0 to 1."""
    left, top = place
    found = []
    for count, letter in enumerate(printed):
        if letter == " ":
            continue
        middle = left + (font.getlength(printed[:count]) + font.getlength(printed[: count + 1])) / 2
        start = round(middle) - _WIDE // 2
        crop = page[top + 1 : top + 1 + _TALL, start : start + _WIDE] / 255
        shape = (_TALL // _SHRINK, _SHRINK, _WIDE // _SHRINK, _SHRINK)
        found.append(crop.reshape(shape).mean((1, 3)).ravel())
    return np.array(found)


def _box(name: str, printed: str, font: Any) -> list[float]:
    """Where a field stands, as fractions of the picture."""
    left, top = _PLACES[name]
    width = font.getlength(printed)
    edges = ((left - 4) / _WIDTH, (top - 2) / _HEIGHT, (width + 8) / _WIDTH, (_TALL + 6) / _HEIGHT)
    return [round(edge, 4) for edge in edges]


def _picture(page: Any) -> str:
    file = io.BytesIO()
    Image.fromarray(page.astype(np.uint8)).save(file, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
