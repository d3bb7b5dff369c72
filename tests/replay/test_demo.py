"""The demo's data: real models on real images, the same at every start."""

import base64
import struct
import zlib
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from labeling.projects.label_schema import compile_schema
from labeling.replay.demo.png import data_uri, png
from labeling.replay.demo.show import first_missing

OPENED = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def digits() -> Any:
    pytest.importorskip("sklearn")
    from labeling.replay.demo.digits import Digits

    return Digits()


def test_a_picture_is_a_png_that_holds_the_pixels() -> None:
    file = png([b"\x00\xff", b"\x80\x01"])

    assert file.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", file[16:24]) == (2, 2)
    body = file[file.index(b"IDAT") + 4 : file.index(b"IEND") - 8]
    assert zlib.decompress(body) == b"\x00\x00\xff\x00\x80\x01"
    assert base64.b64decode(data_uri([b"\x00"]).removeprefix("data:image/png;base64,")) == png([b"\x00"])


def test_images_are_large_enough_to_read_and_small_enough_to_send(digits: Any) -> None:
    image = digits.show(0, OPENED).row["input"]["image"]
    width, height = struct.unpack(">II", base64.b64decode(image.partition(",")[2])[16:24])

    assert width == height == 200
    assert len(image) < 8_000


def test_predictions_fit_their_project_and_the_models_really_vary(digits: Any) -> None:
    body = digits.project_body()
    schema = compile_schema(body["task_type"], body["label_schema"])
    shown = [digits.show(number, OPENED) for number in range(digits.history_size)]
    rows = [s.row for s in shown]

    assert [schema.check(row["prediction"], pointer="") for row in rows] == [[]] * len(rows)
    assert len({row["id"] for row in rows}) == len(rows)
    shares = [
        sum(low <= row["confidence"] < high for row in rows) / len(rows)
        for low, high in ((0, 0.7), (0.7, 0.95), (0.95, 1.1))
    ]
    assert min(shares) > 0.1
    right = sum(s.row["prediction"] == s.truth.output for s in shown) / len(shown)
    assert 0.85 < right < 0.99
    assert {row["segment"] for row in rows} == {"light", "medium", "bold"}
    assert body["simulation"] is True


def test_the_history_lies_in_the_thirty_days_before_and_changes_its_model(digits: Any) -> None:
    rows = [digits.show(number, OPENED).row for number in range(digits.history_size)]
    moments = [datetime.fromisoformat(row["occurred_at"]) for row in rows]

    assert moments == sorted(moments)
    assert moments[0] == OPENED - timedelta(days=30)
    assert moments[-1] < OPENED
    versions = [row["model_version"] for row in rows]
    assert versions == sorted(versions)
    assert set(versions) == {"1", "2"}


def test_the_stream_has_no_end_and_no_times_of_its_own(digits: Any) -> None:
    coming = digits.show(digits.history_size, OPENED).row
    much_later = digits.show(100_000, OPENED).row

    assert "occurred_at" not in coming
    assert much_later["id"] == "digit-100001"
    assert digits.show(100_000, OPENED + timedelta(days=1)).row == much_later


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 600, 601, 100_000])
def test_the_first_missing_number_is_found_with_few_questions(count: int) -> None:
    asked: list[int] = []

    def is_there(number: int) -> bool:
        asked.append(number)
        return number < count

    assert first_missing(is_there) == count
    assert len(asked) <= 2 * count.bit_length() + 2


def test_switched_off_the_demo_says_so_and_ends(settings: Any) -> None:
    from dataclasses import replace

    settings.ENV = replace(settings.ENV, demo=False)
    said = StringIO()

    call_command("demo", stdout=said)

    assert said.getvalue() == "REVIEWAPP_DEMO is 0: no demo.\n"


def test_without_its_packages_the_demo_says_so_and_ends(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = StringIO()

    call_command("demo", stdout=said)

    assert "not installed" in said.getvalue()
    assert said.getvalue().count("\n") == 1
