"""The sign-in: throttled for a name from an address, never for everybody; sessions; the pages behind links."""

from __future__ import annotations

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from labeling.history.models import HistoryEvent
from labeling.projects.accounts import make_password_link
from labeling.projects.invitations import invite
from labeling.projects.models import Membership, Project, Session
from labeling.web.account import address_of
from reviewapp import env
from tests.web.conftest import As
from tests.web.reading import words_of
from tests.world import World

GOOD = "seven quiet herons"
MOST = 10


@pytest.fixture
def with_passwords(world: World) -> World:
    for name in ("rita", "rolf"):
        user = world.person(name).user
        user.set_password(GOOD)
        user.save()
    return world


def sign_in(client: Client, name: str, password: str = GOOD, address: str = "10.0.0.1", **more: Any) -> Any:
    return client.post(
        more.pop("path", "/account/sign-in/"), {"username": name, "password": password}, REMOTE_ADDR=address
    )


@pytest.mark.slow
def test_guessing_closes_one_name_from_one_address_for_a_while(with_passwords: World) -> None:
    for number in range(MOST):
        answer = sign_in(Client(), "rita", f"guess {number}")
        assert answer.status_code == (422 if number < MOST - 1 else 429)
    closed = sign_in(Client(), "rita")
    assert closed.status_code == 429
    assert closed["Retry-After"] == "900"
    assert "Wait 15 minutes, or ask an owner of your project for a password link." in words_of(closed)
    assert 'value="rita"' in closed.content.decode()
    assert sign_in(Client(), "rita", path="/admin/login/").status_code == 429, "the admin is no way around"
    assert sign_in(Client(), "rolf").status_code == 302, "others behind the address come in"
    assert sign_in(Client(), "rita", address="10.0.0.2").status_code == 302, "she comes in from elsewhere"

    _, plain = make_password_link(user=with_passwords.rita.user, by=with_passwords.otto.actor)
    assert Client().post(f"/link/password/{plain}/", {"password": GOOD + "!"}).status_code == 302
    assert not AccessAttempt.objects.filter(username="rita").exists()
    assert sign_in(Client(), "rita", GOOD + "!").status_code == 302, "a link lifts the lock"


def test_a_right_password_forgets_the_wrong_ones(with_passwords: World) -> None:
    for _ in range(2):
        sign_in(Client(), "rita", "guess")
    assert AccessAttempt.objects.get(username="rita").failures_since_start == 2
    assert sign_in(Client(), "rita").status_code == 302
    assert not AccessAttempt.objects.exists()


def test_signed_in_requests_pay_nothing_for_it(as_: As, world: World) -> None:
    client = as_("rita")
    client.get("/account/")
    with CaptureQueriesContext(connection) as queries:
        client.get("/account/")
    assert not [query["sql"] for query in queries if "axes" in query["sql"]]


def test_the_address_that_counts(settings: Any) -> None:
    """A header that anybody can write counts only where a proxy is known to be in front, and then its last entry."""
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.9", HTTP_X_FORWARDED_FOR="1.1.1.1, 2.2.2.2")
    settings.PRODUCTION = False
    assert address_of(request) == "10.0.0.9"
    settings.PRODUCTION = True
    assert address_of(request) == "2.2.2.2"


def test_a_session_outlives_the_process(tmp_path: Any, settings: Any) -> None:
    """It is a row in the database, and what signs it is kept in the home: a new process reads both."""
    assert settings.SESSION_ENGINE == "labeling.projects.sessions"
    assert env.kept_secret_key(tmp_path) == env.kept_secret_key(tmp_path)
    assert settings.PASSWORD_HASHERS[0].endswith("Argon2PasswordHasher")


class TestLinks:
    def test_somebody_new_joins(self, world: World) -> None:
        _, plain = invite(project=world.letters, name="Zoe", role="lead", by=world.otto.actor)
        url = f"/link/join/{plain}/"
        client = Client()
        page = client.get(url)
        assert page["Cache-Control"] == "no-store"
        assert "otto invites you to Letters as Lead" in words_of(page)
        refused = client.post(url, {"username": "zoe", "password": "password"})
        assert refused.status_code == 422
        assert "too common" in words_of(refused)
        assert 'value="zoe"' in refused.content.decode()
        joined = client.post(url, {"username": "zoe", "name": "Zoe Lind", "password": GOOD}, follow=True)
        assert "Welcome to Letters. Your role: Lead." in words_of(joined)
        void = Client().get(url)
        assert void.status_code == 404
        assert "used, taken back or has expired" in words_of(void)

    def test_somebody_with_an_account_joins(self, as_: As, world: World) -> None:
        _, plain = invite(project=world.letters, name="Nora", role="viewer", by=world.otto.actor)
        nora = as_("nora")
        assert "Join as nora" in words_of(nora.get(f"/link/join/{plain}/"))
        assert not Membership.objects.filter(user=world.nora.user).exists(), "looking is not joining"
        assert nora.post(f"/link/join/{plain}/").status_code == 302
        assert Membership.objects.get(user=world.nora.user).role == "viewer"

    def test_a_member_is_told(self, as_: As, world: World) -> None:
        _, plain = invite(project=world.letters, name="Zoe", role="viewer", by=world.otto.actor)
        assert as_("rita").post(f"/link/join/{plain}/").status_code == 409

    def test_a_new_password(self, world: World) -> None:
        _, plain = make_password_link(user=world.rita.user, by=world.otto.actor)
        client = Client()
        assert "A new password for rita" in words_of(client.get(f"/link/password/{plain}/"))
        assert client.post(f"/link/password/{plain}/", {"password": "rita"}).status_code == 422
        done = client.post(f"/link/password/{plain}/", {"password": GOOD}, follow=True)
        assert "Your new password is set" in words_of(done)
        assert Client().get(f"/link/password/{plain}/").status_code == 404


class TestAccount:
    def test_changing_the_password_signs_out_the_others(self, with_passwords: World) -> None:
        here, there = Client(headers={"User-Agent": "Mozilla (X11; Linux) Firefox/140"}), Client()
        for client in (here, there):
            sign_in(client, "rita")
        text = words_of(here.get("/account/"))
        assert "Firefox, Linux this browser" in text
        assert "another program" in text
        wrong = {"present": "no", "password": "nine loud herons"}
        assert here.post("/account/password/", wrong).status_code == 422
        assert here.post("/account/password/", {"present": GOOD, "password": "short"}).status_code == 422
        good = {"present": GOOD, "password": "nine loud herons"}
        assert "Your password is changed" in words_of(here.post("/account/password/", good, follow=True))
        assert there.get("/account/").status_code == 302
        assert here.get("/account/").status_code == 200
        assert HistoryEvent.objects.get(action="password.changed").by == with_passwords.rita.user

    def test_signing_out_everywhere(self, as_: As, world: World) -> None:
        here, there, rolf = as_("rita"), as_("rita"), as_("rolf")
        assert here.post("/account/sessions/end/").status_code == 302
        assert [client.get("/account/").status_code for client in (here, there, rolf)] == [302, 302, 200]
        assert not Session.objects.filter(user=world.rita.user).exists()
        assert HistoryEvent.objects.get(action="sessions.ended").details == {"count": 2}


class TestPeoplePage:
    URL = "/projects/letters/people/"

    @pytest.fixture(autouse=True)
    def project(self, world: World) -> Project:
        return world.letters

    def test_inviting_renewing_withdrawing(self, as_: As, world: World) -> None:
        otto = as_("otto")
        made = otto.post(f"{self.URL}invite/", {"name": "Zoe", "role": "reviewer"})
        assert "The link with which Zoe joins as Reviewer. It is shown this once." in words_of(made)
        assert "http://testserver/link/join/" in made.content.decode()
        assert "/link/join/" not in otto.get(self.URL).content.decode()
        number = world.letters.invitations.get().pk
        renewed = otto.post(f"{self.URL}invitations/{number}/", {"do": "renew"})
        assert "http://testserver/link/join/" in renewed.content.decode()
        gone = otto.post(f"{self.URL}invitations/{number}/", {"do": "withdraw"}, follow=True)
        assert "its link is dead" in words_of(gone)
        assert "Nobody is invited" in words_of(gone)
        assert otto.post(f"{self.URL}invite/", {"name": "", "role": "reviewer"}).status_code == 422

    def test_closing_and_opening_an_account(self, as_: As, world: World) -> None:
        otto, rita = as_("otto"), as_("rita")
        url = f"{self.URL}accounts/"
        shut = otto.post(url, {"username": "rita", "do": "deactivate"}, follow=True)
        assert "rita is signed out everywhere" in words_of(shut)
        assert rita.get("/account/").status_code == 302
        otto.post(url, {"username": "rita", "do": "reactivate"})
        assert get_user_model().objects.get(username="rita").is_active
        link = otto.post(url, {"username": "rita", "do": "password"})
        assert "http://testserver/link/password/" in link.content.decode()
        assert otto.post(url, {"username": "nora", "do": "deactivate"}).status_code == 404
        assert otto.post(url, {"username": "otto", "do": "deactivate"}).status_code == 422

    def test_an_account_that_reaches_further(self, as_: As, world: World) -> None:
        other = world.make_project("others", members=False)
        Membership.objects.create(project=other, user=world.rita.user, role="viewer")
        Membership.objects.filter(project=other, user=world.otto.user).delete()
        otto = as_("otto")
        assert "reaches beyond the projects you own" in words_of(otto.get(self.URL))
        for do in ("password", "deactivate", "reactivate"):
            answer = otto.post(f"{self.URL}accounts/", {"username": "rita", "do": do})
            assert answer.status_code == 403
