"""Who gets through which door: every page, asked by everybody."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.web.conftest import As
from tests.world import World, a_row

OPEN_TO = {
    "": "otto lea rita vic",
    "guidelines/": "otto lea rita vic",
    "models/": "otto lea rita vic",
    "policy/": "otto lea rita vic",
    "autonomy/": "otto lea rita vic",
    "trust/": "otto lea rita vic",
    "review/": "otto lea rita",
    "review/default/": "otto lea rita",
    "review/leads/": "otto lea",
    "review/default/filter/": "otto lea rita",
    "items/": "otto lea vic",
    "items/item-x/": "otto lea vic",
    "datasets/": "otto lea vic",
    "datasets/records/": "otto lea vic",
    "datasets/versions/0/diff/0/": "otto lea vic",
    "people/": "otto lea",
    "audit/": "otto lea",
    "settings/": "otto lea",
    "claims/": "otto lea",
    "tasks/mine/": "otto lea rita",
}
POSTS = {
    "policy/": "otto lea",
    "people/": "otto",
    "people/keys/": "otto",
    "people/invite/": "otto",
    "people/invitations/1/": "otto",
    "people/accounts/": "otto",
    "people/keys/1/revoke/": "otto",
    "settings/": "otto lea",
    "datasets/publish/": "otto lea",
    "datasets/retry/": "otto lea",
    "datasets/versions/1/tag/": "otto lea",
    "datasets/versions/1/verify/": "otto lea",
    "tasks/more/": "otto lea rita",
    "tasks/heartbeat/": "otto lea rita",
    "tasks/release/": "otto lea rita",
    "tasks/undo/": "otto lea rita",
    "claims/take-back/": "otto lea",
    "claims/deadlines/": "otto lea",
}
MEMBERS = ("otto", "lea", "rita", "vic")
REFUSED = {403, 404}


@pytest.fixture(autouse=True)
def an_item(world: World) -> None:
    """Something to look at."""
    world.api("otto").predict(a_row(id="item-x")).expect(201)


@pytest.mark.parametrize(("path", "names"), OPEN_TO.items())
def test_pages_are_open_to_their_roles_only(path: str, names: str, as_: As) -> None:
    url = f"/projects/letters/{path}"
    for name in MEMBERS:
        status = as_(name).get(url).status_code
        assert status == (200 if name in names.split() else 403), f"{name} got {status}"
    assert as_("ada").get(url).status_code == 200
    assert as_("nora").get(url).status_code == 404
    answer = Client().get(url)
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/account/sign-in/?next={url}"


@pytest.mark.parametrize(("path", "names"), POSTS.items())
def test_forms_are_open_to_their_roles_only(path: str, names: str, as_: As) -> None:
    url = f"/projects/letters/{path}"
    for name in MEMBERS:
        status = as_(name).post(url).status_code
        assert (status == 403) == (name not in names.split()), f"{name} got {status}"
    assert as_("nora").post(url).status_code == 404
    assert Client().post(url).status_code == 302


@pytest.mark.parametrize("verb", ["", "decide/", "skip/"])
def test_tasks_of_other_projects_are_not_there(verb: str, as_: As, world: World) -> None:
    task = world.api("rita").claim_one()["task"]
    world.make_project("others", members=False)
    method = "post" if verb else "get"
    for project in ("others", "nowhere"):
        assert getattr(as_("rita"), method)(f"/projects/{project}/tasks/{task}/{verb}").status_code == 404
    assert getattr(as_("otto"), method)(f"/projects/others/tasks/{task}/{verb}").status_code == 404
    assert getattr(as_("nora"), method)(f"/projects/letters/tasks/{task}/{verb}").status_code == 404
    assert getattr(as_("rita"), method)(f"/projects/letters/tasks/{2**70}/{verb}").status_code == 404


def test_the_component_sheet_is_for_those_who_lead(as_: As) -> None:
    for name, status in {"ada": 200, "otto": 200, "lea": 200, "rita": 403, "vic": 403, "nora": 403}.items():
        assert as_(name).get("/components/").status_code == status, name
        assert ("/components/" in as_(name).get("/keys/").content.decode()) == (status == 200)
    assert Client().get("/components/").status_code == 302


def test_only_administrators_make_projects(as_: As) -> None:
    assert as_("ada").get("/projects/new/").status_code == 200
    for name in ("otto", "rita", "nora"):
        assert as_(name).get("/projects/new/").status_code == 403
        assert as_(name).post("/projects/new/", {"slug": "mine"}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/keys/", "/account/"])
def test_pages_of_everybody(path: str, as_: As) -> None:
    assert as_("nora").get(path).status_code == 200
    assert Client().get(path).status_code == 302


@pytest.mark.parametrize("path", ["/account/password/", "/account/sessions/end/"])
def test_ones_own_account_is_for_whoever_is_signed_in(path: str, as_: As) -> None:
    assert Client().post(path).status_code == 302
    assert as_("nora").get(path).status_code == 405


def test_other_methods_are_refused(as_: As) -> None:
    assert as_("otto").post("/projects/letters/items/").status_code == 405
    assert as_("otto").get("/projects/letters/tasks/undo/").status_code == 405
    assert as_("otto").delete("/projects/letters/").status_code == 405


def test_every_form_needs_its_token(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.otto.user)
    answer = client.post("/projects/letters/datasets/publish/")
    assert answer.status_code == 403
