"""Datasets over HTTP (contract section 6)."""

from __future__ import annotations

import io
import json

import pytest
from django.test import Client
from pyarrow import parquet

from labeling.datasets import services
from labeling.datasets.manifest import RECORD_FIELDS
from labeling.datasets.models import DatasetSegment, Publication
from labeling.datasets.storage import open_storage
from labeling.projects.services import create_api_key
from reviewapp.celery import app


class Caller:
    """Somebody with a key."""

    def __init__(self, world, user, scopes):
        _key, plain = create_api_key(
            name="test", scopes=scopes, project=None, member=user, by=world.actor(user)
        )
        self._client = Client(headers={"Authorization": f"Bearer {plain}"})
        self.base = f"/api/v1/projects/{world.project.slug}/datasets/main/"

    def get(self, path="", known=None, **query):
        """With `known`, only when the answer's ETag is another."""
        headers = {"If-None-Match": known} if known else {}
        url = path if path.startswith("http") else self.base + path
        return self._client.get(url, query or None, headers=headers)

    def post(self, path, body=None):
        return self._client.post(self.base + path, body or {}, content_type="application/json")

    def delete(self, path):
        return self._client.delete(self.base + path)


@pytest.fixture
def lea(world):
    return Caller(world, world.lea, ["manage"])


@pytest.fixture
def versions(world):
    for labels in ({"a": "spam", "b": "ham"}, {"a": "ham", "c": "spam"}, {"b": None}):
        for key, label in labels.items():
            world.decide(key, label)
        services.publish(world.dataset.pk)
    return world.dataset


def body(response, status=200):
    assert response.status_code == status, response.content
    return response.json()


def content(response):
    assert response.status_code == 200, response.content
    return b"".join(response.streaming_content)


def code(response, status):
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    return response.json()["code"]


def test_publish_and_wait(world, lea):
    assert body(lea.post("versions/")) == {"version": None}
    decision = world.decide("a/😀", "spam")
    response = lea.post("versions/", {"note": "first", "tag": "one"})
    accepted = body(response, 202)
    assert list(accepted) == ["publication"]
    assert response["Location"] == f"{lea.base}publications/{accepted['publication']}/"
    waiting = body(lea.get(f"publications/{accepted['publication']}/"))
    assert (waiting["state"], waiting["version"]) == ("queued", None)
    assert body(lea.post("versions/"), 202) == accepted, "asked again before it began: the same one"
    services.publish(world.dataset.pk)
    done = body(lea.get(f"publications/{accepted['publication']}/"))
    assert (done["state"], done["version"], done["decisions"], done["tags"]) == ("done", 1, 1, ["one"])
    assert body(lea.post("versions/")) == {"version": 1}
    version = body(lea.get("versions/latest/"))
    assert (
        version
        == body(lea.get("versions/1/"))
        == body(lea.get("versions/v1/"))
        == body(lea.get("versions/one/"))
    )
    assert {name: version[name] for name in version if name not in ("digest", "created_at", "splits")} == {
        "number": 1,
        "parent": None,
        "rows_live": 1,
        "added": 1,
        "changed": 0,
        "removed": 0,
        "labels": {"spam": 1},
        "tags": ["one"],
        "note": "first",
    }
    assert len(version["digest"]) == 64
    (record,) = [json.loads(line) for line in content(lea.get("versions/1/records/")).splitlines()]
    assert tuple(record) == RECORD_FIELDS
    assert (record["record_id"], record["decision_id"]) == ("a/😀", decision.pk)
    assert body(lea.get()) == {
        "slug": "main",
        "version": 1,
        "waiting": 0,
        "stuck": 0,
        "oldest_at": None,
        "publication": None,
    }


@pytest.mark.slow
def test_a_worker_is_told(live_world):
    app.conf.task_always_eager = True
    try:
        live_world.decide("a", "spam")
        lea = Caller(live_world, live_world.lea, ["manage"])
        publication = body(lea.post("versions/"), 202)["publication"]
        assert body(lea.get(f"publications/{publication}/"))["version"] == 1
    finally:
        app.conf.task_always_eager = False


@pytest.mark.slow
def test_without_a_broker_the_publication_waits_for_the_sweep(live_world, caplog):
    live_world.decide("a", "spam")
    body(Caller(live_world, live_world.lea, ["manage"]).post("versions/"), 202)
    assert "no broker" in caplog.text
    assert Publication.objects.get().state == "queued"
    assert services.publish_due() == [live_world.dataset.pk]


def test_versions_are_listed_in_pages_newest_first(versions, lea):
    services.set_tag(dataset=versions, number=2, name="two", by=None)
    page = body(lea.get("versions/", limit=2))
    assert [row["number"] for row in page["results"]] == [3, 2]
    assert [row["tags"] for row in page["results"]] == [[], ["two"]]
    assert page["previous"] is None
    rest = body(lea.get(page["next"]))
    assert [row["number"] for row in rest["results"]] == [1]
    assert rest["next"] is None
    assert [row["number"] for row in body(lea.get(rest["previous"]))["results"]] == [3, 2]


def test_the_same_number_of_queries_for_20_versions_as_for_10(world, lea, django_assert_num_queries):
    for number in range(20):
        world.decide("a", "spam" if number % 2 else "ham")
        services.publish(world.dataset.pk)
        services.set_tag(dataset=world.dataset, number=number + 1, name=f"tag-{number}", by=None)
    lea.get("versions/")  # the first use of a key is written down
    for limit in (10, 20):
        with django_assert_num_queries(6):
            assert len(body(lea.get("versions/", limit=limit))["results"]) == limit


def test_records_that_are_known_already_are_not_sent_again(versions, lea):
    etag = lea.get("versions/1/records/")["ETag"]
    again = lea.get("versions/1/records/", known=etag)
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    for path, query in (("2", {}), ("latest", {}), ("1", {"format": "csv"}), ("1", {"split": "train"})):
        other = lea.get(f"versions/{path}/records/", known=etag, **query)
        assert other.status_code == 200, (path, query)
        assert other["ETag"] != etag, (path, query)


def test_records_in_each_format(versions, lea):
    lines = [json.loads(line) for line in content(lea.get("versions/2/records/")).splitlines()]
    assert {line["record_id"]: line["label"]["label"] for line in lines} == {
        "a": "ham",
        "b": "ham",
        "c": "spam",
    }
    response = lea.get("versions/2/records/", format="parquet")
    assert response["Content-Type"] == "application/vnd.apache.parquet"
    assert response["Content-Disposition"] == 'attachment; filename="mail-main-v2.parquet"'
    table = parquet.read_table(io.BytesIO(content(response)))
    assert table.column("record_id").to_pylist() == [line["record_id"] for line in lines]
    text = content(lea.get("versions/2/records/", format="csv")).decode().splitlines()
    assert text[0] == (
        "record_id,version,input,label.label,previous_label.label,predicted_label.label,confidence,model,"
        "model_version,decision_id,decided_by,decided_at,policy_version,origin,split,segment"
    )
    assert len(text) == 4
    splits = {
        split: [
            json.loads(line)["record_id"]
            for line in content(lea.get("versions/2/records/", split=split)).splitlines()
        ]
        for split in ("train", "validation", "test")
    }
    assert sorted(key for keys in splits.values() for key in keys) == ["a", "b", "c"]
    assert {key: len(ids) for key, ids in splits.items() if ids} == body(lea.get("versions/2/"))["splits"]
    assert code(lea.get("versions/2/records/", format="xml"), 422) == "invalid"
    assert code(lea.get("versions/2/records/", split="holdout"), 422) == "invalid"


def test_a_difference(versions, lea):
    found = body(lea.get("versions/1/diff/latest/"))
    assert {name: found[name] for name in ("from", "to", "added", "changed", "removed")} == {
        "from": 1,
        "to": 3,
        "added": 1,
        "changed": 1,
        "removed": 1,
    }
    assert [
        (row["record_id"], row["op"], row["previous_label"], row["label"]) for row in found["results"]
    ] == [
        ("a", "changed", {"label": "spam"}, {"label": "ham"}),
        ("b", "removed", {"label": "ham"}, None),
        ("c", "added", None, {"label": "spam"}),
    ]
    page = body(lea.get("versions/1/diff/3/", limit=2))
    assert [row["record_id"] for row in body(lea.get(page["next"]))["results"]] == ["c"]
    assert body(lea.get("versions/2/diff/2/"))["results"] == []
    assert code(lea.get("versions/3/diff/1/"), 422) == "wrong_order"
    assert code(lea.get("versions/1/diff/3/", cursor="nonsense"), 422) == "invalid"


def test_tags(versions, lea):
    assert body(lea.post("versions/2/tags/", {"tag": "paper", "protected": True})) == {
        "tag": "paper",
        "version": 2,
        "protected": True,
    }
    assert code(lea.post("versions/3/tags/", {"tag": "paper"}), 409) == "tag_protected"
    assert code(lea.delete("versions/2/tags/paper/"), 409) == "tag_protected"
    assert code(lea.post("versions/3/tags/", {"tag": "v3"}), 422) == "invalid"
    assert code(lea.post("versions/3/tags/", {}), 422) == "invalid"
    assert code(lea.post("versions/3/tags/", {"tag": "x", "colour": "red"}), 422) == "invalid"
    body(lea.post("versions/paper/tags/", {"tag": "moving"}))
    body(lea.post("versions/latest/tags/", {"tag": "moving"}))
    assert body(lea.get("versions/moving/"))["number"] == 3
    assert lea.delete("versions/3/tags/moving/").status_code == 204
    assert code(lea.delete("versions/3/tags/moving/"), 404) == "not_found"
    assert code(lea.get("versions/moving/"), 404) == "not_found"


def test_verify(versions, lea, storage_root):
    for wanted in ({}, {"full": True}):
        found = body(lea.post("versions/3/verify/", wanted))
        assert (found["ok"], found["files"], found["rows"], found["problems"]) == (True, 3, 5, [])
    path = storage_root / DatasetSegment.objects.get(lo=2).path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    found = body(lea.post("versions/3/verify/"))
    assert not found["ok"]
    assert path.name in found["problems"][0]


def test_a_storage_that_lost_a_file_is_503(versions, lea):
    open_storage().delete(DatasetSegment.objects.get(lo=2).path)
    assert body(lea.get("versions/2/diff/3/"))["removed"] == 1, "it is not needed for this"
    assert code(lea.get("versions/3/records/"), 503) == "segment_missing"
    assert code(lea.get("versions/1/diff/3/"), 503)


GETS = ("", "versions/", "versions/1/", "versions/1/records/", "versions/1/diff/2/", "publications/1/")
POSTS = ("versions/", "versions/1/tags/", "versions/1/verify/")


@pytest.mark.parametrize("path", GETS)
def test_who_may_not_read(versions, world, path):
    assert code(Caller(world, world.nora, ["manage"]).get(path), 404) == "not_found"
    assert code(Caller(world, world.rita, ["datasets:read"]).get(path), 403) == "role_missing"
    assert code(Caller(world, world.lea, ["ingest"]).get(path), 403) == "scope_missing"
    assert Client().get(f"/api/v1/projects/mail/datasets/main/{path}").status_code == 401


@pytest.mark.parametrize("path", POSTS)
def test_who_may_not_change(versions, world, path):
    assert code(Caller(world, world.nora, ["manage"]).post(path), 404) == "not_found"
    assert code(Caller(world, world.vito, ["manage"]).post(path), 403) == "role_missing"
    assert code(Caller(world, world.lea, ["datasets:read"]).post(path), 403) == "scope_missing"
    assert Caller(world, world.vito, ["datasets:read"]).get("versions/").status_code == 200


def test_what_is_not_there(versions, world, lea):
    for path in (
        "versions/9/",
        "versions/no/",
        "versions/9/records/",
        "versions/1/diff/9/",
        "publications/0/",
    ):
        assert code(lea.get(path), 404) == "not_found"
    assert lea.get(f"publications/{2**70}/").status_code == 404
    lea.base = lea.base.replace("/main/", "/other/")
    assert code(lea.get(), 404) == "not_found"
    assert code(lea.post("versions/"), 404) == "not_found"


def test_notes_and_bodies_that_are_refused(world, lea):
    world.decide("a", "spam")
    for wrong in ({"note": 1}, {"note": "x" * 10_001}, {"note": "\x00"}, {"tag": ""}, {"tags": []}):
        assert code(lea.post("versions/", wrong), 422) == "invalid"
    assert not Publication.objects.exists()
