"""The admin: for administrators only, through the services, counting nothing, with the trend of every project."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.admin import base
from labeling.history.models import HistoryEvent
from labeling.projects.models import ApiKey, Guidelines, LabelSchema, Membership, Project
from labeling.projects.queries import get_guidelines, get_schema_body
from labeling.review.models import ReviewQueue, ReviewTask
from labeling.routing.queries import get_policy
from labeling.trust.models import TrustDay
from labeling.trust.trends import list_trends
from tests.web.conftest import As
from tests.web.reading import words_of
from tests.world import World, a_row

OURS = [model._meta for model in admin.site._registry]


@pytest.fixture
def ada(as_: As, world: World) -> Client:
    world.api("otto").predict([a_row(), a_row(confidence=0.99)]).expect(200)
    return as_("ada")


def page_of(model: str, *args: Any, page: str = "changelist") -> str:
    return reverse(f"admin:{'auth' if model == 'user' else 'labeling'}_{model}_{page}", args=args)


def test_every_list_opens_and_nobody_else_sees_one(ada: Client, as_: As, world: World) -> None:
    world.vic.user.is_staff = True  # staff, but no administrator of the instance
    world.vic.user.save()
    for model in OURS:
        url = reverse(f"admin:{model.app_label}_{model.model_name}_changelist")
        assert ada.get(url).status_code == 200, url
        assert as_("vic").get(url).status_code == 403, url
        for name in ("otto", "lea", "rita", "nora"):
            assert as_(name).get(url).status_code == 302, url


def test_lists_of_big_tables_count_nothing_and_show_the_newest(
    ada: Client, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    monkeypatch.setattr(base, "NEWEST", 3)
    world.api("otto").predict([a_row() for _ in range(9)]).expect(200)
    for query in ("", "?state__exact=waiting", "?p=2"):
        with CaptureQueriesContext(connection) as queries:
            answer = ada.get(page_of("reviewtask") + query)
        assert answer.status_code in (200, 302)
        statements = [query["sql"] for query in queries if "labeling_reviewtask" in query["sql"]]
        assert statements
        bounded = ("LIMIT", '"labeling_reviewtask"."id" > ')
        assert not [sql for sql in statements if "COUNT(" in sql or not any(part in sql for part in bounded)]
    oldest = ReviewTask.objects.earliest("pk").pk
    assert str(oldest) not in words_of(ada.get(page_of("reviewtask")))
    assert ada.get(page_of("reviewtask", oldest, page="change")).status_code == 200


class TestChangesGoThroughTheServices:
    def test_a_policy_moves_the_epoch(self, ada: Client, world: World) -> None:
        before = Project.objects.get().routing_epoch
        url = page_of("policyversion", page="add")
        values = {"project": world.letters.pk, "body": json.dumps({"high": 0.5, "low": 0.1}), "note": "try"}
        assert ada.post(url, values).status_code == 302
        project = Project.objects.get()
        assert project.routing_epoch > before
        assert get_policy(project, project.policy_number).body["high"] == 0.5
        world.api("otto").predict(a_row(confidence=0.6, id="x")).expect(201)
        assert world.api("otto").story("x")["predictions"][0]["route"] == "auto"
        assert HistoryEvent.objects.filter(action="policy.published").latest("pk").by == world.ada.user
        wrong = ada.post(url, {**values, "body": '{"high": 7}'})
        assert wrong.status_code == 200
        assert "high" in words_of(wrong)
        assert Project.objects.get().policy_number == project.policy_number

    def test_label_schemas_and_guidelines_are_added(self, ada: Client, world: World) -> None:
        project = world.letters
        url = page_of("labelschema", page="add")
        body = json.dumps({"labels": ["a", "b", "c", "d"]})
        assert ada.post(url, {"project": project.pk, "body": body}).status_code == 302
        project.refresh_from_db()
        assert get_schema_body(project)["labels"] == ["a", "b", "c", "d"]
        lost = ada.post(url, {"project": project.pk, "body": '{"labels": ["a"]}'}, follow=True)
        assert "cannot be taken away" in words_of(lost)
        assert LabelSchema.objects.count() == 2
        ada.post(page_of("guidelines", page="add"), {"project": project.pk, "text": "Be kind"})
        project.refresh_from_db()
        assert get_guidelines(project) == "Be kind"
        old = page_of("guidelines", Guidelines.objects.get().pk, page="change")
        assert ada.post(old, {"text": "Be cruel"}).status_code == 403

    def test_the_rhythm_of_publishing_and_a_deadline(self, ada: Client, world: World) -> None:
        values = {
            "name": "Letters",
            "time_zone": "UTC",
            "publish_every_seconds": 60,
            "publish_after_decisions": 5,
        }
        assert ada.post(page_of("project", world.letters.pk, page="change"), values).status_code == 302
        world.letters.refresh_from_db()
        assert world.letters.publish_every_seconds == 60
        changed = HistoryEvent.objects.filter(action="project.changed").latest("pk")
        assert changed.details["before"]["publish_every_seconds"] == 900
        moved = ada.post(
            page_of("project", world.letters.pk, page="change"),
            {**values, "time_zone": "Asia/Tokyo"},
            follow=True,
        )
        assert "The time zone stands once predictions have come in" in words_of(moved)
        queue = ReviewQueue.objects.get(slug="default")
        ada.post(page_of("reviewqueue", queue.pk, page="change"), {"deadline_seconds": 3600})
        queue.refresh_from_db()
        assert queue.deadline_seconds == 3600

    def test_members_keys_and_accounts(self, ada: Client, as_: As, world: World) -> None:
        project = world.letters
        ada.post(
            page_of("membership", page="add"),
            {"project": project.pk, "user": world.nora.user.pk, "role": "lead"},
        )
        assert Membership.objects.get(user=world.nora.user).role == "lead"
        owner = Membership.objects.get(user=world.otto.user)
        kept = ada.post(page_of("membership", owner.pk, page="delete"), {"post": "yes"}, follow=True)
        assert "A project keeps at least one owner." in words_of(kept)
        made = ada.post(
            page_of("apikey", page="add"),
            {
                "name": "k",
                "scopes": ["ingest"],
                "project": project.pk,
                "member": world.otto.user.pk,
                "requests_per_second": 7,
            },
            follow=True,
        )
        assert "It is shown this once: rva_" in words_of(made)
        key = ApiKey.objects.get(name="k")
        assert (key.requests_per_second, key.rows_per_second) == (7, None)
        ada.post(page_of("apikey"), {"action": "revoke", "_selected_action": [key.pk]})
        key.refresh_from_db()
        assert key.revoked_at is not None

        rita = as_("rita")
        many = {"_selected_action": [world.rita.user.pk]}
        link = ada.post(page_of("user"), {"action": "password_link", **many}, follow=True)
        assert "http://testserver/link/password/" in words_of(link)
        ada.post(page_of("user"), {"action": "deactivate", **many})
        assert rita.get("/account/").status_code == 302
        ada.post(page_of("user"), {"action": "reactivate", **many})
        actions = HistoryEvent.objects.filter(subject="user:rita").values_list("action", flat=True)
        assert set(actions) >= {"password.link_made", "user.deactivated", "user.reactivated"}
        values = {"first_name": "Rita", "last_name": "R", "email": ""}
        ada.post(page_of("user", world.rita.user.pk, page="change"), values)
        event = HistoryEvent.objects.get(action="user.changed")
        assert event.details["after"] == {"first_name": "Rita", "last_name": "R"}
        ada.post(page_of("user", world.ada.user.pk, page="change"), {"first_name": "Ada"})
        world.ada.user.refresh_from_db()
        assert world.ada.user.is_superuser, "nobody shuts themselves out"
        assert ada.get("/admin/password_change/").headers["Location"] == "/account/"


class TestTrend:
    def fill(self, project: Project, days: int, last: date) -> None:
        TrustDay.objects.bulk_create(
            TrustDay(
                project_id=project.pk,
                day=last - timedelta(days=n),
                period_id=1,
                model_version_id=1,
                total=20,
                confirmed=9,
                corrected=1,
            )
            for n in range(days)
        )

    def test_thirty_days_from_rollups(self, ada: Client, world: World) -> None:
        self.fill(world.letters, 40, date(2026, 3, 31))
        trend = list_trends([world.letters.pk])[world.letters.pk]
        assert (trend.rate.n, trend.rate.value, len(trend.points)) == (300, 0.9, 30)
        assert trend.points[0] == (0, 0.9)
        assert trend.points[-1] == (29, 0.9)

    def test_on_the_first_page_and_in_the_list(self, ada: Client, world: World) -> None:
        TrustDay.objects.all().delete()
        self.fill(world.letters, 3, date(2026, 3, 31))
        world.make_project("quiet")
        for url in ("/admin/", page_of("project")):
            answer = ada.get(url)
            text = words_of(answer)
            assert "90.0 %" in text, url
            assert "n = 30" in text
            assert "nothing decided yet" in text
            assert 'class="line" d="M931 10.0L966 10.0L1000 10.0"' in answer.content.decode()
            assert "style=" not in answer.content.decode().split('class="trend"')[1].split("</span>")[0]

    def test_as_many_queries_for_many_projects(self, ada: Client, world: World) -> None:
        counts = []
        for number in (2, 5):
            for extra in range(number):
                self.fill(world.make_project(f"p-{number}-{extra}"), 3, date(2026, 3, 31))
            for url in ("/admin/", page_of("project")):
                with CaptureQueriesContext(connection) as queries:
                    ada.get(url)
                counts.append(len(queries))
                assert not [
                    q for q in queries if "labeling_prediction" in q["sql"] or "trustdelta" in q["sql"]
                ]
        assert counts[:2] == counts[2:]
