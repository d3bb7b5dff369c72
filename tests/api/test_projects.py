"""Projects, policy, members and keys over the API."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from labeling.history.models import HistoryEvent
from labeling.projects.models import ApiKey, LabelSchema, Membership, Project
from labeling.routing.models import PolicyPeriod, PolicyVersion
from labeling.routing.policy import DEFAULTS
from tests.world import QUIET, SCHEMAS, Api, Reply, World, a_row, in_threads


@pytest.fixture
def ada(world: World) -> Api:
    return world.api("ada")


@pytest.fixture
def otto(world: World) -> Api:
    return world.api("otto")


def pointers(reply: Reply, status: int = 422) -> list[str]:
    return [error["pointer"] for error in reply.expect_problem(status)["errors"]]


NEW = {
    "slug": "parcels",
    "name": "Parcels",
    "task_type": "classification",
    "label_schema": {"labels": ["a", "b"]},
}

# --- Making a project ------------------------------------------------------------------------------------------------


def test_a_new_project(ada: Api) -> None:
    body = ada.post("/projects/", NEW).expect(201)
    assert body.pop("created_at").endswith("Z")
    assert body == {
        **NEW,
        "guidelines": "",
        "guidelines_version": 0,
        "policy": DEFAULTS,
        "policy_version": 1,
        "time_zone": "UTC",
        "simulation": False,
        "notice": "",
        "publish_every_seconds": 900,
        "publish_after_decisions": 1000,
    }
    assert ada.get("/projects/parcels/").expect(200)["slug"] == "parcels"
    queues = ada.get("/projects/parcels/queues/").expect(200)["results"]
    assert [queue["slug"] for queue in queues] == ["default", "leads"]
    assert Membership.objects.get(project__slug="parcels").role == "owner"


def test_a_new_project_with_everything(ada: Api) -> None:
    more = {
        "guidelines": "# Be kind",
        "policy": {"high": 0.9, "low": 0.2},
        "time_zone": "Europe/Zurich",
        "simulation": True,
    }
    body = ada.post("/projects/", {**NEW, **more}).expect(201)
    assert {name: body[name] for name in ("guidelines", "time_zone", "simulation")} == {
        name: more[name] for name in ("guidelines", "time_zone", "simulation")
    }
    assert body["policy"] == {**DEFAULTS, **more["policy"]}  # type: ignore[dict-item]
    assert body["guidelines_version"] == 1


@pytest.mark.parametrize("task_type", SCHEMAS)
def test_every_task_type(ada: Api, task_type: str) -> None:
    schema = SCHEMAS[task_type]
    body = ada.post("/projects/", {**NEW, "task_type": task_type, "label_schema": schema}).expect(201)
    assert (body["task_type"], body["label_schema"]) == (task_type, schema)


def test_an_open_vocabulary(ada: Api) -> None:
    for slug, schema in (("one", {"labels": []}), ("two", {})):
        ada.post("/projects/", {**NEW, "slug": slug, "label_schema": schema}).expect(201)
        ada.post(f"/projects/{slug}/predictions/", a_row(prediction={"label": "anything"})).expect(201)


WRONG_PROJECTS: list[tuple[Any, str]] = [
    *[({k: v for k, v in NEW.items() if k != name}, f"/{name}") for name in NEW],
    ({**NEW, "colour": "red"}, "/colour"),
    *[({**NEW, "slug": slug}, "/slug") for slug in ("", "a b", "a/b", "ä", "x" * 61, None, [], "a\0", "🙂")],
    *[({**NEW, "name": name}, "/name") for name in ("", "x" * 201, None, 5, [], "a\0")],
    *[
        ({**NEW, "task_type": kind}, "/task_type")
        for kind in ("", "Classification", "audio", None, 5, [], {})
    ],
    *[({**NEW, "label_schema": schema}, "/label_schema") for schema in ([], "a", 5, None)],
    *[
        ({**NEW, "label_schema": schema}, f"/label_schema{pointer}")
        for schema, pointer in [
            ({"labels": "a"}, "/labels"),
            ({"labels": {"a": 1}}, "/labels"),
            ({"labels": ["a", ""]}, "/labels/1"),
            ({"labels": ["a", " "]}, "/labels/1"),
            ({"labels": ["a", 5]}, "/labels/1"),
            ({"labels": ["a", "a"]}, "/labels/1"),
            ({"labels": ["x" * 201]}, "/labels/0"),
            ({"labels": ["a\0"]}, "/labels/0"),
            ({"labels": ["a"] * 10_001}, "/labels"),
            ({"labels": ["a"], "colours": []}, "/colours"),
            ({"fields": {}}, "/fields"),
        ]
    ],
    *[
        ({**NEW, "task_type": "fields", "label_schema": schema}, f"/label_schema{pointer}")
        for schema, pointer in [
            ({}, "/fields"),
            ({"fields": {}}, "/fields"),
            ({"fields": []}, "/fields"),
            ({"fields": {"total": "string"}}, "/fields/total"),
            ({"fields": {"total": {"type": "money"}}}, "/fields/total"),
            ({"fields": {"total": {"type": ["string"]}}}, "/fields/total"),
            ({"fields": {"total": {"type": "string", "min": 1}}}, "/fields/total"),
            ({"fields": {"": {"type": "string"}}}, "/fields/"),
            ({"fields": {"a/b": {"type": "money"}}}, "/fields/a~1b"),
            ({"labels": []}, "/labels"),
        ]
    ],
    ({**NEW, "task_type": "text", "label_schema": {"labels": []}}, "/label_schema/labels"),
    *[({**NEW, "guidelines": text}, "/guidelines") for text in (5, None, "x" * 200_001, "\0")],
    *[
        ({**NEW, "time_zone": zone}, "/time_zone")
        for zone in ("Moon", "", "../../etc/passwd", "x" * 61, 5, None, "\0", "europe/zurich\n")
    ],
    *[({**NEW, "simulation": flag}, "/simulation") for flag in ("perhaps", None, [], 5)],
    ({**NEW, "policy": {"high": 2}}, "/policy/high"),
    ({**NEW, "policy": []}, "/policy"),
    ({**NEW, "policy": {"autonomy_min_interval": "0"}}, "/policy/autonomy_min_interval"),
    ({**NEW, "policy": {"autonomy_min_interval": "0d"}}, "/policy/autonomy_min_interval"),
    ({**NEW, "policy": {"autonomy_min_interval": "00s"}}, "/policy/autonomy_min_interval"),
    ({**NEW, "policy": {"autonomy_min_interval": "9" * 30 + "d"}}, "/policy/autonomy_min_interval"),
    ([NEW], ""),
    ("parcels", ""),
    (5, ""),
    (None, ""),
]


@pytest.mark.parametrize(("body", "pointer"), WRONG_PROJECTS, ids=lambda value: str(value)[:60])
def test_a_wrong_project_is_named_and_not_made(ada: Api, body: Any, pointer: str) -> None:
    assert pointers(ada.post("/projects/", body)) == [pointer]
    assert not Project.objects.filter(slug="parcels").exists()


def test_a_slug_that_is_taken(ada: Api) -> None:
    ada.post("/projects/", NEW).expect(201)
    ada.post("/projects/", NEW).expect_problem(409, "slug_taken")


@pytest.mark.slow
def test_a_slug_that_is_taken_at_the_same_moment(live_world: World) -> None:
    ada = live_world.api("ada")
    assert sorted(reply.status for reply in in_threads([partial(ada.post, "/projects/", NEW)] * 4)) == [
        201,
        409,
        409,
        409,
    ]
    assert Project.objects.filter(slug="parcels").count() == 1


def test_a_simulation_may_have_no_interval(ada: Api) -> None:
    ada.post("/projects/", {**NEW, "simulation": True, "policy": {"autonomy_min_interval": "0"}}).expect(201)


def test_lists_hold_what_one_may_see(world: World, otto: Api) -> None:
    for slug in ("zebras", "apples"):
        world.make_project(slug)
    world.make_project("secrets", members=False)

    def slugs(api: Api) -> list[str]:
        return [line["slug"] for line in api.get("/projects/").expect(200)["results"]]

    assert slugs(otto) == slugs(world.api("ada")) == ["apples", "letters", "secrets", "zebras"]
    assert slugs(world.api("vic")) == ["apples", "letters", "zebras"]
    assert slugs(world.api("nora")) == []
    assert slugs(world.api("ada", project=world.letters)) == ["letters"]


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
def test_pages_of_projects_forwards_and_back(world: World, ada: Api, limit: int) -> None:
    wanted = ["letters", *(world.make_project(f"p{number}").slug for number in range(6))]
    pages, url = [], f"/projects/?limit={limit}"
    while url:
        page = ada.get(url).expect(200)
        pages.append([line["slug"] for line in page["results"]])
        last, url = page, (page["next"] or "").removeprefix("http://testserver")
    assert [slug for slugs in pages for slug in slugs] == wanted
    back = [pages[-1]]
    while last["previous"]:
        last = ada.get(last["previous"].removeprefix("http://testserver")).expect(200)
        back.insert(0, [line["slug"] for line in last["results"]])
    assert [slug for slugs in back for slug in slugs] == wanted


# --- Changing a project ----------------------------------------------------------------------------------------------


def test_changes(otto: Api, world: World) -> None:
    changes = {
        "name": "Post",
        "notice": "New stamps from Monday",
        "guidelines": "Be kind",
        "time_zone": "Asia/Tokyo",
        "publish_every_seconds": 60,
        "publish_after_decisions": 5,
    }
    body = otto.patch("/projects/letters/", changes).expect(200)
    assert {name: body[name] for name in changes} == changes
    assert body["guidelines_version"] == 1
    assert otto.patch("/projects/letters/", {"guidelines": ""}).expect(200)["guidelines_version"] == 2
    assert otto.get("/projects/letters/").expect(200)["guidelines"] == ""
    event = HistoryEvent.objects.filter(action="project.changed").earliest("id")
    assert (event.by, event.subject, event.details["before"]["name"]) == (
        world.otto.user,
        "project:letters",
        "Letters",
    )


WRONG_CHANGES = [
    ({"slug": "other"}, "/slug"),
    ({"task_type": "text"}, "/task_type"),
    ({"policy": {}}, "/policy"),
    ({"simulation": True}, "/simulation"),
    ({"name": ""}, "/name"),
    ({"name": None}, "/name"),
    ({"notice": "x" * 301}, "/notice"),
    ({"time_zone": "Moon"}, "/time_zone"),
    ({"publish_every_seconds": 9}, "/publish_every_seconds"),
    ({"publish_every_seconds": 10**12}, "/publish_every_seconds"),
    ({"publish_every_seconds": "often"}, "/publish_every_seconds"),
    ({"publish_after_decisions": 0}, "/publish_after_decisions"),
    ({"publish_after_decisions": None}, "/publish_after_decisions"),
    ({"label_schema": {"labels": ["a", "b"]}}, "/label_schema"),
    ({"label_schema": {"labels": ["a", "b", "d"]}}, "/label_schema"),
    ({"label_schema": {"labels": ["a", "b", "c", "a"]}}, "/label_schema/labels/3"),
    ({"label_schema": {"fields": {}}}, "/label_schema/fields"),
    ([], ""),
]


@pytest.mark.parametrize(("body", "pointer"), WRONG_CHANGES, ids=str)
def test_wrong_changes(otto: Api, body: Any, pointer: str) -> None:
    before = otto.get("/projects/letters/").expect(200)
    assert pointers(otto.patch("/projects/letters/", body)) == [pointer]
    assert otto.get("/projects/letters/").expect(200) == before


def test_labels_may_be_added_and_put_in_another_order(otto: Api) -> None:
    body = otto.patch("/projects/letters/", {"label_schema": {"labels": ["d", "c", "b", "a"]}}).expect(200)
    assert body["label_schema"] == {"labels": ["d", "c", "b", "a"]}
    assert list(LabelSchema.objects.order_by("number").values_list("number", flat=True)) == [1, 2]
    otto.predict(a_row(prediction={"label": "d"})).expect(201)


def test_fields_may_be_added_and_not_changed(world: World) -> None:
    api = world.api(at=world.make_project("bills", "fields"))
    fields = SCHEMAS["fields"]["fields"]
    api.patch(api.below(""), {"label_schema": {"fields": {**fields, "more": {"type": "date"}}}}).expect(200)
    for changed in ({**fields, "more": {"type": "string"}}, fields):
        assert pointers(api.patch(api.below(""), {"label_schema": {"fields": changed}})) == ["/label_schema"]


def test_a_vocabulary_may_be_opened(otto: Api) -> None:
    otto.patch("/projects/letters/", {"label_schema": {"labels": []}}).expect(200)
    otto.predict(a_row(prediction={"label": "anything"})).expect(201)


def test_an_open_vocabulary_may_be_closed_only_while_nothing_is_there(world: World) -> None:
    """Later, labels that are in use would not be valid any more."""
    api = world.api(at=world.make_project("tags", label_schema={"labels": []}))
    api.patch(api.below(""), {"label_schema": {"labels": ["a", "b"]}}).expect(200)
    api.patch(api.below(""), {"label_schema": {"labels": []}}).expect(200)
    api.predict(a_row(prediction={"label": "anything"})).expect(201)
    assert pointers(api.patch(api.below(""), {"label_schema": {"labels": ["a", "b"]}})) == ["/label_schema"]
    api.predict(a_row(prediction={"label": "something"})).expect(201)


def test_a_label_schema_must_fit_the_policy_in_force(world: World) -> None:
    """Or no prediction could be routed."""
    policy = {**QUIET, "fallback": {"mode": "constant", "output": {"label": "other"}}}
    api = world.api(at=world.make_project("tags", label_schema={"labels": []}, policy=policy))
    assert pointers(api.patch(api.below(""), {"label_schema": {"labels": ["a"]}})) == [
        "/policy/fallback/output/label"
    ]
    api.patch(api.below(""), {"label_schema": {"labels": ["a", "other"]}}).expect(200)
    api.predict(a_row(confidence=0.1)).expect(201)


# --- Policy ----------------------------------------------------------------------------------------------------------


def test_a_policy_is_numbered_and_never_changed(otto: Api, world: World) -> None:
    first = otto.get(otto.below("policy/")).expect(200)
    second = otto.put(otto.below("policy/"), {**QUIET, "high": 0.9, "note": "Braver"}).expect(200)
    assert (first["number"], second["number"], second["high"], second["low"]) == (1, 2, 0.9, 0.7)
    assert (first["note"], second["note"]) == ("", "Braver")
    assert second["created_by"] == "otto"
    assert otto.get(otto.below("policy/")).expect(200) == second
    versions = otto.get(otto.below("policy/versions/")).expect(200)["results"]
    assert versions == [second, first]
    assert HistoryEvent.objects.filter(action="policy.published").count() == 2


def test_what_was_read_can_be_put_back(otto: Api) -> None:
    """GET gives number, note, time and author beside the policy's own keys; PUT takes the policy's own keys."""
    shown = otto.get(otto.below("policy/")).expect(200)
    body = {name: shown[name] for name in DEFAULTS}
    assert otto.put(otto.below("policy/"), body).expect(200)["number"] == 2


def test_a_new_policy_ends_the_period_in_force_and_opens_the_next(otto: Api, world: World) -> None:
    otto.put(otto.below("policy/"), {**QUIET, "high": 0.9, "low": 0.1}).expect(200)
    old, new = PolicyPeriod.objects.filter(project=world.letters).order_by("id")
    assert (old.policy_number, old.high, old.ended_at) == (1, 0.95, new.started_at)
    assert (new.policy_number, new.high, new.low, new.ended_at) == (2, 0.9, 0.1, None)


def test_a_wrong_policy_changes_nothing(otto: Api) -> None:
    for body, pointer in (
        ({"high": 2}, "/high"),
        ({"colour": 1}, "/colour"),
        ({"note": 1}, "/note"),
        ([], ""),
        ("x", ""),
        (None, ""),
    ):
        assert pointers(otto.put(otto.below("policy/"), body)) == [pointer]
    assert PolicyVersion.objects.count() == PolicyPeriod.objects.count() == 1


@pytest.mark.slow
def test_two_policies_at_once_get_two_numbers(live_world: World) -> None:
    otto = live_world.api("otto")
    replies = in_threads([partial(otto.put, otto.below("policy/"), QUIET)] * 6)
    assert sorted(reply.expect(200)["number"] for reply in replies) == [2, 3, 4, 5, 6, 7]
    assert PolicyPeriod.objects.filter(ended_at=None).count() == 1


# --- Members ---------------------------------------------------------------------------------------------------------


def test_members(otto: Api, world: World) -> None:
    def members() -> dict[str, str]:
        results = otto.get(otto.below("members/")).expect(200)["results"]
        return {line["username"]: line["role"] for line in results}

    assert members() == {
        "otto": "owner",
        "lea": "lead",
        "rita": "reviewer",
        "rolf": "reviewer",
        "vic": "viewer",
    }
    added = otto.post(otto.below("members/"), {"username": "nora", "role": "lead"}).expect(201)
    assert added == {"username": "nora", "name": "", "role": "lead", "active": True}
    otto.post(otto.below("members/"), {"username": "rita", "role": "viewer"}).expect(201)
    otto.delete(otto.below("members/vic/")).expect(204)
    assert members() == {"otto": "owner", "lea": "lead", "rita": "viewer", "rolf": "reviewer", "nora": "lead"}
    otto.delete(otto.below("members/vic/")).expect_problem(404)
    assert HistoryEvent.objects.filter(action__startswith="member.").count() == 3


def test_somebody_new_gets_an_account_that_cannot_sign_in(otto: Api) -> None:
    otto.post(otto.below("members/"), {"username": "zoe", "role": "reviewer"}).expect(201)
    assert not get_user_model().objects.get(username="zoe").has_usable_password()


WRONG_MEMBERS = [
    ({"username": "rita"}, "/role"),
    ({"role": "lead"}, "/username"),
    ({"username": "rita", "role": "boss"}, "/role"),
    ({"username": "rita", "role": None}, "/role"),
    ({"username": "rita", "role": ["lead"]}, "/role"),
    ({"username": "", "role": "lead"}, "/username"),
    ({"username": 5, "role": "lead"}, "/username"),
    ({"username": "a b", "role": "lead"}, "/username"),
    ({"username": "\0", "role": "lead"}, "/username"),
    ({"username": "x" * 151, "role": "lead"}, "/username"),
    ({"username": "rita", "role": "lead", "since": 1}, "/since"),
]


@pytest.mark.parametrize(("body", "pointer"), WRONG_MEMBERS, ids=str)
def test_wrong_members(otto: Api, body: Any, pointer: str) -> None:
    assert pointers(otto.post(otto.below("members/"), body)) == [pointer]


def test_a_project_keeps_an_owner(otto: Api, world: World) -> None:
    otto.post(otto.below("members/"), {"username": "otto", "role": "lead"}).expect_problem(422, "last_owner")
    otto.delete(otto.below("members/otto/")).expect_problem(422, "last_owner")
    otto.post(otto.below("members/"), {"username": "lea", "role": "owner"}).expect(201)
    otto.delete(otto.below("members/otto/")).expect(204)
    otto.get(otto.below("members/")).expect_problem(404)


@pytest.mark.slow
def test_two_owners_who_leave_at_once_leave_one(live_world: World) -> None:
    otto, ada = live_world.api("otto"), live_world.api("ada")
    otto.post(otto.below("members/"), {"username": "lea", "role": "owner"}).expect(201)
    leave = [partial(ada.delete, ada.below(f"members/{name}/")) for name in ("otto", "lea")]
    assert sorted(reply.status for reply in in_threads(leave)) == [204, 422]


@pytest.mark.slow
def test_one_new_name_in_two_projects_at_once(live_world: World) -> None:
    apis = [live_world.api("otto", at=live_world.make_project(f"p{number}")) for number in range(4)]
    invite = [partial(api.post, api.below("members/"), {"username": "zoe", "role": "viewer"}) for api in apis]
    assert [reply.status for reply in in_threads(invite)] == [201] * 4
    assert Membership.objects.filter(user__username="zoe").count() == 4


@pytest.mark.parametrize("name", ["%00", "%ff", "nobody", "a%2Fb", "x" * 500])
def test_nobody_of_that_name(otto: Api, name: str) -> None:
    otto.delete(otto.below(f"members/{name}/")).expect_problem(404)


# --- Keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_stored_hashed(otto: Api) -> None:
    made = otto.post(
        "/keys/", {"name": "robot", "scopes": ["ingest", "ingest"], "project": "letters"}
    ).expect(201)
    plain = made.pop("key")
    stored = ApiKey.objects.get(pk=made["id"])
    assert plain not in str(vars(stored))
    assert plain.startswith(made["prefix"])
    assert (made["name"], made["scopes"], made["project"], made["member"]) == (
        "robot",
        ["ingest"],
        "letters",
        "otto",
    )
    assert (made["revoked_at"], stored.created_by.username) == (None, "otto")
    (line,) = [line for line in otto.get("/keys/").expect(200)["results"] if line["id"] == made["id"]]
    assert line == made
    Api(plain, stored.project).predict(a_row()).expect(201)
    event = HistoryEvent.objects.filter(action="key.created").latest("id")
    assert plain not in str(event.details)


def test_a_key_acts_as_its_member(otto: Api, world: World) -> None:
    made = otto.post(
        "/keys/", {"name": "rita's", "scopes": ["review"], "project": "letters", "member": "rita"}
    ).expect(201)
    otto.predict(a_row()).expect(201)
    rita = Api(made["key"], world.letters)
    rita.claim_one()
    rita.post(rita.below("tasks/claim/"), {"queue": "leads"}).expect_problem(403, "role_missing")
    rita.predict(a_row()).expect_problem(403, "scope_missing")


WRONG_KEYS = [
    ({"scopes": ["ingest"], "project": "letters"}, "/name"),
    ({"name": "k", "project": "letters"}, "/scopes"),
    ({"name": "k", "scopes": [], "project": "letters"}, "/scopes"),
    ({"name": "k", "scopes": "ingest", "project": "letters"}, "/scopes"),
    ({"name": "k", "scopes": ["everything"], "project": "letters"}, "/scopes/0"),
    ({"name": "k", "scopes": ["ingest", None], "project": "letters"}, "/scopes/1"),
    ({"name": "k", "scopes": ["ingest"] * 11, "project": "letters"}, "/scopes"),
    ({"name": "", "scopes": ["ingest"], "project": "letters"}, "/name"),
    ({"name": "\0", "scopes": ["ingest"], "project": "letters"}, "/name"),
    ({"name": "k", "scopes": ["ingest"], "project": 5}, "/project"),
    ({"name": "k", "scopes": ["ingest"], "project": "letters", "member": "nora"}, "/member"),
    ({"name": "k", "scopes": ["ingest"], "project": "letters", "member": "nobody"}, "/member"),
    ({"name": "k", "scopes": ["ingest"], "project": "letters", "member": 5}, "/member"),
    ({"name": "k", "scopes": ["ingest"], "project": "letters", "until": "2027"}, "/until"),
]


@pytest.mark.parametrize(("body", "pointer"), WRONG_KEYS, ids=str)
def test_wrong_keys(otto: Api, body: Any, pointer: str) -> None:
    before = ApiKey.objects.count()
    assert pointers(otto.post("/keys/", body)) == [pointer]
    assert ApiKey.objects.count() == before


@pytest.mark.parametrize(("project", "status"), [("nowhere", 404), ("\0", 422), ("", 422)])
def test_a_key_of_no_project(otto: Api, project: str, status: int) -> None:
    otto.post("/keys/", {"name": "k", "scopes": ["ingest"], "project": project}).expect_problem(status)


def test_a_key_for_every_project_is_the_administrators(world: World, otto: Api, ada: Api) -> None:
    otto.post("/keys/", {"name": "k", "scopes": ["ingest"]}).expect_problem(403, "role_missing")
    made = ada.post("/keys/", {"name": "k", "scopes": ["review"], "project": None, "member": "rita"}).expect(
        201
    )
    assert (made["project"], made["member"]) == (None, "rita")


def test_a_key_tied_to_a_project_makes_no_others(world: World, ada: Api) -> None:
    tied = world.api("ada", project=world.letters)
    tied.post("/keys/", {"name": "k", "scopes": ["ingest"]}).expect_problem(403)
    tied.post("/projects/", NEW).expect_problem(403)
    world.make_project("parcels")
    tied.post("/keys/", {"name": "k", "scopes": ["ingest"], "project": "parcels"}).expect_problem(404)
    assert {line["project"] for line in tied.get("/keys/").expect(200)["results"]} <= {"letters"}


def test_owners_see_the_keys_of_their_projects(world: World, otto: Api, ada: Api) -> None:
    parcels = world.make_project("parcels")
    world.make_key("rita", "review", project=world.letters)
    world.make_key("rita", "review", project=parcels)
    otto.post("/projects/", NEW).expect_problem(403)
    assert {line["project"] for line in otto.get("/keys/").expect(200)["results"]} == {"letters", "parcels"}
    assert {line["project"] for line in ada.get("/keys/").expect(200)["results"]} == {
        "letters",
        "parcels",
        None,
    }
    assert world.api("lea").get("/keys/").expect(200)["results"] == []


def test_revoking_twice_changes_nothing(otto: Api) -> None:
    made = otto.post("/keys/", {"name": "k", "scopes": ["ingest"], "project": "letters"}).expect(201)
    for _ in range(2):
        otto.delete(f"/keys/{made['id']}/").expect(204)
    assert HistoryEvent.objects.filter(action="key.revoked").count() == 1
    (line,) = otto.get("/keys/").expect(200)["results"][:1]
    assert line["revoked_at"] is not None


def test_whose_key_may_be_revoked(world: World, otto: Api, ada: Api) -> None:
    """What one may not see is not found; a lead sees the project and may not."""
    everywhere = ApiKey.objects.get(prefix=world.make_key("otto")[:12]).pk
    here = ApiKey.objects.get(prefix=world.make_key("otto", "ingest", project=world.letters)[:12]).pk
    for name in ("otto", "lea", "nora"):
        world.api(name).delete(f"/keys/{everywhere}/").expect_problem(404)
    world.api("nora").delete(f"/keys/{here}/").expect_problem(404)
    world.api("lea").delete(f"/keys/{here}/").expect_problem(403, "role_missing")
    world.api("otto", "ingest").delete(f"/keys/{here}/").expect_problem(403, "scope_missing")
    world.api("ada", project=world.letters).delete(f"/keys/{everywhere}/").expect_problem(403)
    otto.delete(f"/keys/{here}/").expect(204)
    ada.delete(f"/keys/{everywhere}/").expect(204)


@pytest.mark.parametrize(
    "number", ["0", str(2**63 - 1), str(2**63), "9" * 300, "9" * 5_000, "-1", "x", "1.5"]
)
def test_there_is_no_such_key(ada: Api, number: str) -> None:
    ada.delete(f"/keys/{number}/").expect_problem(404)


@pytest.mark.slow
def test_one_key_serves_many_threads(live_world: World) -> None:
    otto = live_world.api("otto")
    begun = threading.Barrier(8)

    def send() -> int:
        begun.wait(30)
        return otto.predict(a_row()).status

    assert in_threads([send] * 8) == [201] * 8
