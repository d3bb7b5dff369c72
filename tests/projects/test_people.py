"""Invitations, password links, closed accounts, sessions: through the API, and what the history tells of them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from labeling.history.models import HistoryEvent
from labeling.projects.accounts import forget_expired
from labeling.projects.invitations import invite
from labeling.projects.models import ApiKey, Invitation, Membership, PasswordLink, Session
from labeling.review.models import ReviewTask, TaskState
from tests.world import Api, World, a_row, in_threads

GOOD = "seven quiet herons"


@pytest.fixture
def otto(world: World) -> Api:
    return world.api("otto")


def token_of(body: Any) -> str:
    return re.fullmatch(r"http://testserver/link/(?:join|password)/([\w-]{43})/", body["url"])[1]  # type: ignore[index]


def invited(api: Api, role: str = "reviewer", **more: Any) -> Any:
    return api.post(api.below("invitations/"), {"name": "Zoe", "role": role, **more}).expect(201)


def accept(token: str, **more: Any) -> Any:
    return Api(None, None).post("/invitations/accept/", {"token": token, **more})  # type: ignore[arg-type]


def told(action: str) -> HistoryEvent:
    return HistoryEvent.objects.filter(action=action).latest("pk")


class TestInvitations:
    def test_somebody_new_joins_once(self, otto: Api, world: World) -> None:
        made = invited(otto)
        token = token_of(made)
        assert token not in str(list(Invitation.objects.values()))
        assert made["mailed"] is False
        assert accept(token, username="zoe", password=GOOD, name="Zoe Lind").expect(201) == {
            "username": "zoe",
            "project": "letters",
            "role": "reviewer",
        }
        zoe = get_user_model().objects.get(username="zoe")
        assert zoe.password.startswith("argon2$argon2id$")
        assert zoe.get_full_name() == "Zoe Lind"
        accept(token, username="zack", password=GOOD).expect_problem(404, "link_void")
        assert otto.get(otto.below("invitations/")).expect(200)["results"] == []
        made_event, accepted = told("invitation.made"), told("invitation.accepted")
        assert (made_event.by, accepted.by) == (world.otto.user, zoe)
        assert accepted.details == {"name": "Zoe", "role": "reviewer", "email": ""}
        assert told("member.set").details == {"before": None, "after": "reviewer"}

    def test_somebody_with_an_account_joins_as_who_they_are(self, otto: Api, world: World) -> None:
        token = token_of(invited(otto, "lead"))
        nora = world.browser("nora")
        assert nora.post("/invitations/accept/", {"token": token}).expect(201)["username"] == "nora"
        assert Membership.objects.get(user=world.nora.user).role == "lead"

    def test_a_member_keeps_the_role_and_the_link_stays(self, otto: Api, world: World) -> None:
        token = token_of(invited(otto, "viewer"))
        for name in ("otto", "rita"):
            world.browser(name).post("/invitations/accept/", {"token": token}).expect_problem(
                409, "already_member"
            )
        assert Membership.objects.get(user=world.otto.user).role == "owner"
        accept(token, username="zoe", password=GOOD).expect(201)

    def test_a_key_is_no_person(self, otto: Api, world: World) -> None:
        token = token_of(invited(otto))
        world.api("nora").post("/invitations/accept/", {"token": token}).expect_problem(403, "not_a_person")

    def test_a_renewed_link_replaces_the_old_one_and_a_withdrawn_one_is_dead(self, otto: Api) -> None:
        first = invited(otto)
        path = otto.below(f"invitations/{first['id']}/")
        second = otto.post(f"{path}renew/").expect(201)
        accept(token_of(first), username="zoe", password=GOOD).expect_problem(404, "link_void")
        otto.delete(path).expect(204)
        accept(token_of(second), username="zoe", password=GOOD).expect_problem(404, "link_void")
        otto.delete(path).expect_problem(404)
        otto.post(f"{path}renew/").expect_problem(404)
        assert [told(f"invitation.{what}").subject for what in ("renewed", "withdrawn")] == [
            f"invitation:{first['id']}"
        ] * 2

    def test_it_lasts_a_week(self, world: World) -> None:
        long_ago = timezone.now() - timedelta(days=7, seconds=1)
        _, plain = invite(project=world.letters, name="Zoe", role="viewer", by=world.otto.actor, now=long_ago)
        accept(plain, username="zoe", password=GOOD).expect_problem(404, "link_void")

    def test_it_falls_with_whoever_made_it(self, otto: Api, world: World) -> None:
        token = token_of(invited(otto, "owner"))
        otto.post(otto.below("members/"), {"username": "lea", "role": "owner"}).expect(201)
        world.api("lea").patch(otto.below("members/otto/"), {"role": "lead"}).expect(200)
        accept(token, username="zoe", password=GOOD).expect_problem(404, "link_void")

    @pytest.mark.parametrize(
        ("more", "pointer"),
        [
            ({"username": "zoe", "password": "short"}, "/password"),
            ({"username": "zoe", "password": "password123"}, "/password"),
            ({"username": "rita", "password": GOOD}, "/username"),
            ({"username": "a b", "password": GOOD}, "/username"),
            ({"username": "zoe"}, "/password"),
            ({"password": GOOD}, "/username"),
            ({"username": "zoe", "password": "x" * 1_001}, "/password"),
        ],
    )
    def test_a_wrong_account_is_named_and_the_link_stays(
        self, otto: Api, more: dict[str, str], pointer: str
    ) -> None:
        token = token_of(invited(otto))
        problem = accept(token, **more).expect_problem(422)
        assert {error["pointer"] for error in problem["errors"]} == {pointer}
        accept(token, username="zoe", password=GOOD).expect(201)

    def test_it_is_mailed_where_mail_is_set_up(self, otto: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "EMAIL_HOST", "mail.example.org")
        made = invited(otto, email="zoe@example.org")
        assert made["mailed"] is True
        (letter,) = mail.outbox
        assert letter.to == ["zoe@example.org"]
        assert made["url"] in letter.body

    def test_a_mail_server_that_is_not_there_loses_nothing(
        self, otto: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settings, "EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
        monkeypatch.setattr(settings, "EMAIL_HOST", "127.0.0.1")
        monkeypatch.setattr(settings, "EMAIL_PORT", 1)
        made = invited(otto, email="zoe@example.org")
        assert made["mailed"] is False
        accept(token_of(made), username="zoe", password=GOOD).expect(201)

    def test_two_who_use_one_link_at_once(self, live_world: World) -> None:
        _, plain = invite(project=live_world.letters, name="Zoe", role="viewer", by=live_world.otto.actor)
        names = ("zoe", "zack", "zeno")
        replies = in_threads([lambda n=n: accept(plain, username=n, password=GOOD) for n in names])  # type: ignore[misc]
        assert sorted(reply.status for reply in replies) == [201, 404, 404]
        assert get_user_model().objects.filter(username__in=names).count() == 1


class TestPasswords:
    def test_a_link_sets_a_password_once_and_ends_sessions(self, otto: Api, world: World) -> None:
        rita = world.browser("rita")
        made = otto.post(otto.below("members/rita/password-link/")).expect(201)
        token = token_of(made)
        assert token not in str(list(PasswordLink.objects.values()))
        Api(None, world.letters).post(
            "/password-links/use/", {"token": token, "password": "short"}
        ).expect_problem(422)
        body = {"token": token, "password": GOOD}
        Api(None, world.letters).post("/password-links/use/", body).expect(204)
        Api(None, world.letters).post("/password-links/use/", body).expect_problem(404, "link_void")
        assert rita.get("/projects/").status == 401
        answer = Client().post("/account/sign-in/", {"username": "rita", "password": GOOD})
        assert answer.status_code == 302
        assert (told("password.link_made").by, told("password.changed").by) == (
            world.otto.user,
            world.rita.user,
        )

    def test_the_last_link_counts_and_lasts_a_day(self, otto: Api) -> None:
        path = otto.below("members/rita/password-link/")
        first, second = (token_of(otto.post(path).expect(201)) for _ in range(2))
        use = Api(None, otto.at)
        use.post("/password-links/use/", {"token": first, "password": GOOD}).expect_problem(404)
        PasswordLink.objects.update(expires_at=timezone.now())
        use.post("/password-links/use/", {"token": second, "password": GOOD}).expect_problem(404)

    def test_nobody_opens_accounts_that_reach_further(self, otto: Api, world: World) -> None:
        """Owning one project must not open the account of somebody who owns, or only works in, another."""
        other = world.make_project("others", members=False)
        Membership.objects.filter(project=other).update(user=world.nora.user)
        for name, where in (("rita", other), ("ada", world.letters)):
            Membership.objects.create(project=where, user=world.person(name).user, role="viewer")
            for verb in ("password-link", "deactivate", "reactivate"):
                otto.post(otto.below(f"members/{name}/{verb}/")).expect_problem(403, "account_elsewhere")
        tied = world.api("ada", project=world.letters)
        tied.post(otto.below("members/rita/password-link/")).expect_problem(403, "account_elsewhere")
        world.api("ada").post(otto.below("members/rita/password-link/")).expect(201)
        otto.post(otto.below("members/nora/deactivate/")).expect_problem(404)


class TestClosedAccounts:
    def test_everything_ends_at_once(self, otto: Api, world: World) -> None:
        otto.predict([a_row(), a_row()]).expect(200)
        browser, rita = world.browser("rita"), world.api("rita")
        task = rita.claim(2)[0]
        assert otto.post(otto.below("members/rita/deactivate/")).expect(200)["active"] is False
        assert ReviewTask.objects.filter(state=TaskState.WAITING).count() == 2
        assert browser.get("/projects/").status == 401
        rita.decide(task, "confirmed").expect_problem(401)
        assert not Session.objects.filter(user=world.rita.user).exists()
        otto.post(otto.below("members/rita/deactivate/")).expect(200)  # again changes nothing
        assert HistoryEvent.objects.filter(action="user.deactivated").count() == 1
        otto.post(otto.below("members/rita/password-link/")).expect_problem(422)

        assert otto.post(otto.below("members/rita/reactivate/")).expect(200)["active"] is True
        assert browser.get("/projects/").status == 401, "an ended session does not come back"
        rita.get("/projects/").expect(200)
        event = told("user.reactivated")
        assert (event.by, event.subject, event.details) == (
            world.otto.user,
            "user:rita",
            {"before": False, "after": True},
        )
        assert event.project == world.letters

    def test_a_project_keeps_an_owner_who_can_sign_in(self, otto: Api, world: World) -> None:
        ada = world.api("ada")
        ada.post(otto.below("members/otto/deactivate/")).expect_problem(422, "last_owner")
        otto.post(otto.below("members/otto/deactivate/")).expect_problem(422, "own_account")
        otto.patch(otto.below("members/lea/"), {"role": "owner"}).expect(200)
        ada.post(otto.below("members/lea/deactivate/")).expect(200)
        otto.patch(otto.below("members/otto/"), {"role": "lead"}).expect_problem(422, "last_owner")
        ada.post(otto.below("members/otto/deactivate/")).expect_problem(422, "last_owner")

    def test_two_owners_closed_at_once_leave_one(self, live_world: World) -> None:
        Membership.objects.filter(user=live_world.lea.user).update(role="owner")
        ada = live_world.make_key("ada")
        at = live_world.letters
        replies = in_threads(
            [
                lambda n=n: Api(ada, at).post(f"/projects/letters/members/{n}/deactivate/")
                for n in ("otto", "lea")
            ]  # type: ignore[misc]
        )
        assert sorted(reply.status for reply in replies) == [200, 422]


class TestRoles:
    def test_claims_that_a_role_does_not_allow_are_released(self, otto: Api, world: World) -> None:
        otto.predict([a_row(), a_row(), a_row()]).expect(200)
        for name in ("rita", "rolf", "lea"):
            world.api(name).claim_one()
        otto.patch(otto.below("members/rita/"), {"role": "viewer"}).expect(200)
        otto.delete(otto.below("members/rolf/")).expect(204)
        otto.patch(otto.below("members/lea/"), {"role": "reviewer"}).expect(200)
        held = ReviewTask.objects.filter(state=TaskState.CLAIMED).values_list(
            "claimed_by__username", flat=True
        )
        assert list(held) == ["lea"]
        otto.patch(otto.below("members/nora/"), {"role": "viewer"}).expect_problem(404)

    def test_a_lead_who_becomes_a_reviewer_gives_back_what_is_the_leads(
        self, otto: Api, world: World
    ) -> None:
        otto.predict(a_row()).expect(201)
        rita = world.api("rita")
        rita.decide(rita.claim_one(), "escalated").expect(201)
        world.api("lea").claim_one(queue="leads")
        otto.patch(otto.below("members/lea/"), {"role": "reviewer"}).expect(200)
        assert not ReviewTask.objects.filter(state=TaskState.CLAIMED).exists()


class TestKeys:
    def test_last_used_is_known_to_within_minutes(self, otto: Api, world: World) -> None:
        plain = world.make_key("otto", "ingest", project=world.letters)
        key = ApiKey.objects.get(prefix=plain[:12])
        assert key.last_used_at is None
        api = Api(plain, world.letters)
        api.predict(a_row()).expect(201)
        key.refresh_from_db()
        first = key.last_used_at
        assert first is not None
        api.predict(a_row()).expect(201)
        key.refresh_from_db()
        assert key.last_used_at == first
        (line,) = [k for k in otto.get("/keys/").expect(200)["results"] if k["id"] == key.pk]
        assert line["last_used_at"] is not None


def test_sessions_are_rows_of_their_person(world: World) -> None:
    """In the database, signed with a key that is kept: nothing of a session lives in a process."""
    world.browser("rita")
    with connection.cursor() as cursor:
        cursor.execute("select user_id from labeling_session")
        assert cursor.fetchall() == [(world.rita.user.pk,)]


def test_what_has_expired_is_forgotten_and_nothing_else(otto: Api, world: World) -> None:
    world.browser("rita")
    otto.post(otto.below("members/rita/password-link/")).expect(201)
    assert forget_expired() == 0
    assert forget_expired(now=timezone.now() + timedelta(days=1)) == 1
    assert forget_expired(now=timezone.now() + timedelta(days=15)) == 1
    assert not Session.objects.exists()
    assert not PasswordLink.objects.exists()
