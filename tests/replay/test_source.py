"""Files are read twice: once for what they need, then row by row."""

import base64
from pathlib import Path

import pytest

from labeling.replay.source import ReplayFile, SourceError, item_of

from .conftest import CARD, NEWS, RECEIPT, WriteRows


def test_a_gzipped_file_reads_like_a_plain_one(write_rows: WriteRows) -> None:
    plain, packed = write_rows([NEWS]), write_rows([NEWS], "rows.jsonl.gz")

    assert list(ReplayFile(plain).rows()) == list(ReplayFile(packed).rows()) == [NEWS]


def test_the_survey_knows_labels_of_the_whole_file_and_truths_of_the_limited_rows(
    write_rows: WriteRows,
) -> None:
    rows = [CARD, CARD | {"id": "card-2", "truth": {"label": "unclear"}}]

    found = ReplayFile(write_rows(rows), limit=1).survey()

    assert found.rows == 1
    assert set(found.truths) == {"card-1"}
    assert found.schema.sorted_labels == ["default", "no_default", "unclear"]


def test_repeating_goes_through_the_limited_rows_again_with_other_ids(write_rows: WriteRows) -> None:
    rows = [CARD | {"id": name} for name in ("a", "b", "c")]

    assert [row["id"] for row in ReplayFile(write_rows(rows), limit=2).rows(repeat=3)] == [
        "a", "b", "a~2", "b~2", "a~3", "b~3",
    ]  # fmt: skip


def test_an_image_path_becomes_a_data_uri(write_rows: WriteRows, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(b"picture")

    (row,) = ReplayFile(write_rows([RECEIPT])).rows()

    assert row["input"]["image"] == f"data:image/jpeg;base64,{base64.b64encode(b'picture').decode()}"
    assert row["input"]["lines"] == RECEIPT["input"]["lines"]


@pytest.mark.parametrize("image", ["../outside.jpg", "/etc/hostname", "images/missing.jpg"])
def test_an_image_outside_the_folder_or_missing_names_its_line(write_rows: WriteRows, image: str) -> None:
    path = write_rows([RECEIPT | {"input": {"image": image}}])

    with pytest.raises(SourceError, match="line 1"):
        list(ReplayFile(path).rows())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: a row is a JSON object"),
        ('{"id": "x", "confidence": NaN}', "NaN is no JSON number"),
        (
            '{"id": "x", "task_type": "classification", "prediction": {"label": "a"}}',
            "the key 'truth' is missing",
        ),
        ('{"id": "x", "task_type": "speech", "truth": {}}', "'speech' is not known"),
    ],
)
def test_a_broken_line_is_named(write_rows: WriteRows, line: str, said: str) -> None:
    path = write_rows([NEWS])
    path.write_text(path.read_text() + line + "\n")

    with pytest.raises(SourceError, match=said):
        ReplayFile(path).survey()


def test_a_missing_or_empty_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        ReplayFile(tmp_path / "none.jsonl").survey()
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(SourceError, match="holds no rows"):
        ReplayFile(tmp_path / "empty.jsonl").survey()


def test_a_repeated_item_has_the_truth_of_the_first(write_rows: WriteRows) -> None:
    truths = ReplayFile(write_rows([NEWS, NEWS | {"id": "odd~2"}])).survey().truths

    assert item_of("news-1~3", truths) is truths["news-1"]
    assert item_of("odd~2", truths) is truths["odd~2"]
    assert item_of("odd~2~2", truths) is truths["odd~2"]
    assert item_of("news-1~x", truths) is None
    assert item_of("other", truths) is None
