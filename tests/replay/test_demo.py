"""The demo's data: real models on real data, the same at every start."""

import base64
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from labeling.decisions.diffing import core_output
from labeling.projects.label_schema import compile_schema
from labeling.replay.client import ReplayError
from labeling.replay.demo.exhibit import HISTORY_DAYS, Case, Chapter, Exhibit
from labeling.replay.demo.exhibits import EXHIBITS
from labeling.replay.demo.fair import only_filler
from labeling.replay.demo.models.png import data_uri, png
from labeling.replay.demo.pool import Pool, make_pool
from labeling.replay.demo.show import first_missing
from labeling.replay.demo.story import Story
from labeling.routing.policy import compile_policy

OPENED = datetime(2026, 3, 1, 15, 20, tzinfo=UTC)
# Of each exhibit: how often the last model is right, and how much of it is surer than 0.9.
EXPECTED = {
    "digits": (0.96, 0.7),
    "languages": (0.83, 0.35),
    "biopsies": (0.98, 0.85),
    "invoices": (0.79, 0.5),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pools")


@pytest.fixture
def cases(folder: Path) -> Callable[[str], list[Case]]:
    """The cases of an exhibit, made once as the demo makes them: by a process of their own."""

    def make(slug: str) -> list[Case]:
        with closing(Pool(make_pool(slug, folder))) as pool:
            return pool[:]

    return make


@pytest.mark.slow
@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.slug)
def test_real_models_whose_predictions_fit_their_project(
    exhibit: Exhibit, cases: Callable[[str], list[Case]]
) -> None:
    made = cases(exhibit.slug)
    schema = compile_schema(exhibit.task_type, exhibit.label_schema)
    versions = sorted({chapter.model_version for chapter in exhibit.chapters})
    last = [(case.predictions[versions[-1]], case.truth) for case in made]

    assert [sorted(case.predictions) for case in made] == [versions] * len(made)
    assert [schema.check(case.truth, pointer="") for case in made] == [[]] * len(made)
    for version in versions:
        outputs = [core_output(exhibit.task_type, case.predictions[version]["prediction"]) for case in made]
        assert [schema.check(output, pointer="") for output in outputs] == [[]] * len(made)
    right, sure = EXPECTED[exhibit.slug]
    shares = [core_output(exhibit.task_type, said["prediction"]) == truth for said, truth in last]
    assert sum(shares) / len(made) == pytest.approx(right, abs=0.04)
    assert sum(said["confidence"] > 0.9 for said, _ in last) / len(made) == pytest.approx(sure, abs=0.12)
    assert len({case.segment for case in made}) == 3
    assert max(len(case.to_line()) for case in made) < 60_000


@pytest.mark.slow
def test_a_pool_is_made_once_and_a_failure_says_why(folder: Path, tmp_path: Path) -> None:
    path = make_pool("biopsies", folder)
    made_at = path.stat().st_mtime_ns

    assert make_pool("biopsies", folder) == path
    assert path.stat().st_mtime_ns == made_at
    with closing(Pool(path)) as pool:
        assert [len(pool), pool[0], pool[568]] == [569, pool[0:1][0], pool[568:569][0]]
        with pytest.raises(IndexError):
            pool[569]
    with pytest.raises(ReplayError, match=r"The models of nothing could not be trained: .*No module named"):
        make_pool("nothing", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.slug)
def test_each_story_has_a_new_policy_and_a_new_model(exhibit: Exhibit) -> None:
    schema = compile_schema(exhibit.task_type, exhibit.label_schema)
    policy: dict[str, Any] = {}
    for chapter in exhibit.chapters:
        policy |= chapter.policy
        compile_policy(policy, schema=schema, at="/policy")

    assert sum(bool(chapter.policy) for chapter in exhibit.chapters) >= 2
    assert len({chapter.model_version for chapter in exhibit.chapters}) >= 2
    assert [c.from_day for c in exhibit.chapters] == sorted({c.from_day for c in exhibit.chapters})
    assert all(chapter.note for chapter in exhibit.chapters)
    assert exhibit.project_body()["simulation"] is True


def story() -> Story:
    """Three cases, two chapters, two rows a day."""
    exhibit = replace(
        EXHIBITS[0], item="thing", rows_a_day=2, chapters=(Chapter(0, "1"), Chapter(20, "2", {"high": 0.9}))
    )
    said = {"1": {"prediction": {"label": "0"}}, "2": {"prediction": {"label": "1"}}}
    return Story(exhibit, [Case({"text": str(n)}, "all", said, {"label": "0"}) for n in range(3)])


def test_the_history_lies_in_the_working_hours_of_the_thirty_days_before() -> None:
    rows = [story().show(number, OPENED).row for number in range(60)]
    moments = [datetime.fromisoformat(row["occurred_at"]) for row in rows]

    assert moments == sorted(moments)
    assert moments[0].date() == OPENED.date() - timedelta(days=HISTORY_DAYS)
    assert moments[-1].date() == OPENED.date() - timedelta(days=1)
    assert all(time(7) <= moment.time() < time(19) for moment in moments)
    assert [row["model_version"] for row in rows] == ["1"] * 40 + ["2"] * 20
    assert [list(story().numbers_of(c)) for c in story().exhibit.chapters] == [
        list(range(40)),
        list(range(40, 60)),
    ]


def test_the_stream_has_no_end_and_no_times_of_its_own() -> None:
    coming = story().show(60, OPENED).row
    much_later = story().show(100_000, OPENED)

    assert "occurred_at" not in coming
    assert (much_later.row["id"], much_later.row["input"]) == ("thing-100001", {"text": "1"})
    assert much_later.row["model_version"] == "2"
    assert story().show(100_000, OPENED + timedelta(days=1)) == much_later


def test_one_process_fills_the_demo(tmp_path: Path) -> None:
    with only_filler(tmp_path / "demo") as first, only_filler(tmp_path / "demo") as second:
        assert (first, second) == (True, False)
    with only_filler(tmp_path / "demo") as next_one:
        assert next_one


def test_a_picture_is_a_png_that_holds_the_pixels() -> None:
    file = png([b"\x00\xff", b"\x80\x01"])

    assert file.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", file[16:24]) == (2, 2)
    body = file[file.index(b"IDAT") + 4 : file.index(b"IEND") - 8]
    assert zlib.decompress(body) == b"\x00\x00\xff\x00\x80\x01"
    assert base64.b64decode(data_uri([b"\x00"]).removeprefix("data:image/png;base64,")) == png([b"\x00"])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 600, 601, 100_000])
def test_the_first_missing_number_is_found_with_few_questions(count: int) -> None:
    asked: list[int] = []

    def is_there(number: int) -> bool:
        asked.append(number)
        return number < count

    assert first_missing(is_there) == count
    assert len(asked) <= 2 * count.bit_length() + 2


def test_switched_off_the_demo_says_so_and_ends(settings: Any) -> None:
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
