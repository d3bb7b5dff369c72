"""The pages of a dataset: a version, a difference, a record, tags, what is stuck."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.datasets.models import Dataset, DatasetTag, WaitingDecision
from labeling.datasets.services import publish, request_publication
from tests.web.conftest import As
from tests.web.reading import FRAGMENT, words_of
from tests.world import World, a_row

HERE = "/projects/letters/datasets/"


@pytest.fixture
def dataset(world: World, settings: Any, tmp_path: Any) -> Dataset:
    """v1 adds r-0 (b, where the model said a) and r-1 (a); v2 adds r-2 (a)."""
    settings.REVIEWAPP_STORAGE = str(tmp_path)
    api = world.api("rita")
    world.api("otto").predict([a_row(id=f"r-{n}") for n in range(3)]).expect(200)
    found = Dataset.objects.get(project=world.letters)
    first, second, third = api.claim(3)
    for task in (first, second):
        if task["item"]["id"] == "r-0":
            api.decide(task, "corrected", {"label": "b"}).expect(201)
        else:
            api.decide(task, "confirmed").expect(201)
    _publish(found, world, "before the guideline")
    api.decide(third, "confirmed").expect(201)
    _publish(found, world, "")
    found.refresh_from_db()
    return found


def _publish(dataset: Dataset, world: World, note: str) -> None:
    request_publication(dataset=dataset, by=world.lea.actor, note=note)
    publish(dataset.pk)


def test_a_version_says_where_it_comes_from_and_how_to_read_it(as_: As, dataset: Dataset) -> None:
    first, second = dataset.versions.order_by("number")
    page = as_("vic").get(f"{HERE}versions/1/")
    text = words_of(page)
    for part in (
        "before the guideline",
        "LE",
        first.digest,
        second.digest[:12],
        "Followed by v2",
        "2 rows",
        "b 1",
        "a 1",
    ):
        assert part in text, part
    assert "Tag this version" not in text
    body = page.content.decode()
    address = "/api/v1/projects/letters/datasets/main/versions/1/records/"
    split = next(iter(first.split_counts))
    for form in ("jsonl", "csv", "parquet"):
        assert f"{address}?format={form}&amp;split={split}" in body
    newest = words_of(as_("vic").get(f"{HERE}versions/latest/"))
    assert "Made from v1 " + first.digest[:12] in newest
    assert "a 2 +1" in newest
    assert as_("vic").get(f"{HERE}versions/9/").status_code == 404


def test_the_lines_to_copy_are_python(as_: As, dataset: Dataset, world: World) -> None:
    from labeling.web.dataset_reading import list_readers

    for task_type in ("classification", "multilabel", "text", "fields", "spans", "boxes"):
        curl, *others = list_readers(address="http://here/", slug="a-b", number=3, task_type=task_type)
        assert '"http://here/3/records/?format=parquet" -o a-b-v3.parquet' in curl.code
        for reader in others:
            compile(reader.code, reader.name, "exec")
            assert "a-b-v3.parquet" in reader.code


def test_a_difference_shows_one_kind_of_change_and_goes_on(
    as_: As, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    vic = as_("vic")
    text = words_of(vic.get(f"{HERE}versions/0/diff/2/"))
    for part in ("All 3", "Added 3", "Changed 0", "Removed 0", "r-0", "r-1", "r-2", "3 of 3 records"):
        assert part in text, part
    only = words_of(vic.get(f"{HERE}versions/0/diff/2/?only=changed"))
    assert "No record differs." in only
    assert "r-0" not in only
    assert "r-2" not in words_of(vic.get(f"{HERE}versions/1/diff/0/"))  # the other way round is the same
    assert "r-0" not in words_of(vic.get(f"{HERE}versions/0/diff/2/?after=r-0"))
    assert vic.get(f"{HERE}changes/?from=1&to=2").headers["Location"] == f"{HERE}versions/1/diff/2/"
    assert vic.get(f"{HERE}versions/7/diff/2/").status_code == 404


def test_versions_to_compare_may_be_spelled_oddly(as_: As, dataset: Dataset) -> None:
    for query, older in (("from=/&to=", "latest"), ("from=1&to=/2/", "1"), ("", "latest")):
        answer = as_("vic").get(f"{HERE}changes/?{query}")
        assert answer.status_code == 302
        assert f"/versions/{older}/diff/" in answer["Location"]


def test_a_record_is_found_by_its_id(as_: As, dataset: Dataset, world: World) -> None:
    vic = as_("vic")
    text = words_of(vic.get(f"{HERE}records/?id=r-0"))
    for part in ("In v2 with the label of v1", "added", "b", "RI", "Open the item"):
        assert part in text, part
    world.api("otto").predict(a_row(id="r-9")).expect(201)
    assert "In no version yet" in words_of(vic.get(f"{HERE}records/?id=r-9"))
    assert "No such record" in words_of(vic.get(f"{HERE}records/?id=%00"))
    assert "Which record?" in words_of(vic.get(f"{HERE}records/"))


def test_leads_tag_and_check_a_version(as_: As, dataset: Dataset) -> None:
    lea = as_("lea")
    page = lea.post(f"{HERE}versions/1/tag/", {"tag": "june", "protected": "1"}, follow=True)
    assert "june protected" in words_of(page)
    assert DatasetTag.objects.get(name="june").version == 1
    page = lea.post(f"{HERE}versions/2/tag/", {"tag": "june"}, follow=True)
    assert "banner-danger" in page.content.decode()
    assert DatasetTag.objects.get(name="june").version == 1
    assert "reserved" in words_of(lea.post(f"{HERE}versions/1/tag/", {"tag": "v9"}, follow=True))
    lea.post(f"{HERE}versions/1/tag/", {"tag": "july"})
    lea.post(f"{HERE}versions/1/tag/", {"tag": "july", "action": "remove"})
    assert not DatasetTag.objects.filter(name="july").exists()
    assert "v2 is what was published: 2 files and 3 rows" in words_of(
        lea.post(f"{HERE}versions/2/verify/", follow=True)
    )


def test_what_is_stuck_is_named_and_tried_again(as_: As, dataset: Dataset, world: World) -> None:
    world.api("otto").predict(a_row(id="r-7")).expect(201)
    api = world.api("rita")
    api.decide(api.claim_one(), "confirmed").expect(201)
    WaitingDecision.objects.update(failures=9)
    assert "1 decision cannot be published." in words_of(as_("vic").get(HERE))
    assert "Try them again" not in words_of(as_("vic").get(HERE))
    assert "1 decision is tried again." in words_of(as_("lea").post(f"{HERE}retry/", follow=True))
    fragment = as_("lea").get(HERE, headers=FRAGMENT)
    assert "Publishing now." in words_of(fragment)
    assert "dataset-versions" not in fragment.content.decode()
    publish(dataset.pk)
    done = as_("lea").get(HERE, headers=FRAGMENT).content.decode()
    assert 'id="dataset-versions" hx-swap-oob' in done
    assert "v3" in done


def test_the_timeline_goes_on_to_older_versions(
    as_: As, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeling.web.datasets.SHOWN_VERSIONS", 1)
    text = as_("vic").get(HERE).content.decode()
    assert "?before=2" in text
    assert "?before=1" not in as_("vic").get(f"{HERE}?before=2").content.decode()
    assert "before the guideline" in words_of(as_("vic").get(f"{HERE}?before=2"))
