"""Projects, policy, datasets, people, history, items, account: one success and one refusal each."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.api.problems import problem_of
from labeling.datasets.models import Publication
from labeling.datasets.services import publish
from labeling.errors import LabelingError, say
from labeling.history.models import HistoryEvent
from labeling.projects.models import ApiKey, LabelSchema, Membership, Project
from labeling.projects.queries import get_guidelines
from labeling.projects.services import change_project
from labeling.routing.models import PolicyPeriod
from labeling.routing.policy import DEFAULTS
from labeling.routing.queries import get_policy
from labeling.routing.services import publish_policy
from labeling.trust.services import fold_deltas
from labeling.trust.steering import stop_automatic
from labeling.web.page import status_of
from tests.web.conftest import As
from tests.web.reading import FRAGMENT, fields_of, words_of
from tests.world import World, a_row

PROJECT = "/projects/letters/"
HOME_QUERIES = 16


def decide_some(world: World, count: int = 4, name: str = "l") -> None:
    """Predictions of all tiers, and Rita's decisions about some."""
    rows = [a_row(id=f"{name}-{n}", prediction={"label": "ab"[n % 2]}, segment="post") for n in range(count)]
    rows += [a_row(id=f"{name}-auto", confidence=0.99), a_row(id=f"{name}-fall", confidence=0.2, priority=-1)]
    world.api("otto").predict(rows).expect(200)
    rita = world.api("rita")
    for number, task in enumerate(rita.claim(count)):
        verdict = ["confirmed"] if number % 2 else ["corrected", {"label": "c"}]
        rita.decide(task, *verdict, seconds=2.0).expect(201)
    fold_deltas()


class TestHome:
    def test_lists_my_projects_with_rates_and_ranges(self, as_: As, world: World) -> None:
        decide_some(world)
        text = words_of(as_("rita").get("/"))
        for part in (
            "Letters",
            "Classification",
            "You decided 4 today, median 2.0 s.",
            "too few to say",
        ):
            assert part in text
        Project.objects.filter(slug="letters").update(notice="New stamps from Monday")
        part = words_of(as_("rita").get("/", headers=FRAGMENT))
        assert "New stamps from Monday" in part
        assert "Projects" not in part
        assert "New stamps from Monday" in words_of(as_("rita").get(PROJECT))
        assert "Letters" not in words_of(as_("nora").get("/"))
        assert "You are in no project" not in text

    def test_queries_do_not_grow_with_projects(self, as_: As, world: World) -> None:
        counts = []
        for number in (2, 8):  # 2 and 10 projects
            for extra in range(number):
                project = world.make_project(f"p-{number}-{extra}")
                world.api("otto", at=project).predict(a_row()).expect(201)
            fold_deltas()
            rita = as_("rita")
            rita.get("/account/")
            with CaptureQueriesContext(connection) as queries:
                assert "P-2-1" in words_of(rita.get("/"))
            counts.append(len(queries))
        assert counts[0] == counts[1] <= HOME_QUERIES

    def test_says_how_automatic_a_project_is_and_what_is_known_of_its_errors(
        self, as_: As, world: World
    ) -> None:
        checked = world.make_project("checked", policy={"high": 0.9, "audit_rate": 1.0})
        world.make_project("unchecked", policy={"high": 0.9, "audit_rate": 0.0})
        world.make_project("earning", policy={"autonomy": "on"})
        for slug in ("checked", "unchecked"):
            rows = [a_row(id=f"{slug}-{n}", confidence=0.99) for n in range(12)]
            world.api("otto", at=Project.objects.get(slug=slug)).predict(rows).expect(200)
        rita = world.api("rita", at=checked)
        for number, task in enumerate(rita.claim(12)):
            rita.decide(task, "labelled", {"label": "b" if number < 3 else "a"}).expect(201)
        fold_deltas()
        text = words_of(as_("rita").get("/"))
        assert "off automatic from 0.90 25.0 % 12 checked" in text
        assert "off automatic from 0.90 not audited" in text
        assert "nothing yet widens by itself nothing automatic" in text
        stop_automatic(checked, reason="odd results", by=world.lea.actor)
        assert "stopped threshold set by people" in words_of(as_("rita").get("/"))

    def test_says_what_to_do_when_there_is_nothing(self, as_: As) -> None:
        assert "Make the first project" in words_of(as_("ada").get("/"))
        assert "An owner of a project adds you" in words_of(as_("nora").get("/"))


class TestOverview:
    def test_queues_decisions_and_where_predictions_went(self, as_: As, world: World) -> None:
        decide_some(world)
        world.api("rolf").claim_one()
        text = words_of(as_("rita").get(PROJECT))
        for part in ("1 person holds 1 now", "Review", "RO", "Your last decisions", "confirmed", "l-1"):
            assert part.lower() in text.lower()
        assert "For leads" not in text
        assert "For leads" in words_of(as_("lea").get(PROJECT))
        queues = as_("rita").get(PROJECT, headers=FRAGMENT).content.decode()
        assert "<html" not in queues
        assert 'id="queues"' in queues

    def test_of_blind_tasks_the_models_answer_is_not_told_afterwards(self, as_: As, world: World) -> None:
        world.api("otto").predict(a_row(prediction={"label": "b"}, confidence=0.2)).expect(201)
        rita = world.api("rita")
        rita.decide(rita.claim_one(), "labelled", {"label": "a"}).expect(201)
        assert "says-model" not in as_("rita").get(PROJECT).content.decode()

    def test_a_new_project_shows_the_first_steps(self, as_: As, world: World) -> None:
        assert world.letters
        otto = as_("otto")
        text = words_of(otto.get(PROJECT))
        assert "Letters is ready. It has seen nothing yet." in text
        assert "http://testserver/api/v1/projects/letters/predictions/" in text
        asking = {**FRAGMENT, "HX-Target": "first-prediction"}
        assert otto.get(PROJECT, headers=asking).status_code == 204
        world.api("otto").predict(a_row()).expect(201)
        assert otto.get(PROJECT, headers=asking).headers["HX-Refresh"] == "true"

    @pytest.mark.parametrize(
        "task_type", ["classification", "multilabel", "text", "fields", "spans", "boxes"]
    )
    def test_the_prediction_to_copy_is_valid(self, as_: As, world: World, task_type: str) -> None:
        from labeling.projects.queries import get_schema_body
        from labeling.web.projects import example_row

        project = world.make_project("first", task_type)
        row = json.loads(example_row(task_type, get_schema_body(project)))
        world.api("otto", at=project).predict(row).expect(201)

    def test_queries_do_not_grow(self, as_: As, world: World) -> None:
        counts = []
        for size in (10, 20):
            decide_some(world, size, name=str(size))
            rita = as_("rita")
            rita.get("/")
            with CaptureQueriesContext(connection) as queries:
                rita.get(PROJECT)
            counts.append(len(queries))
        assert counts[0] == counts[1]


class TestMakingAProject:
    FORM = {
        "name": "Receipts",
        "slug": "receipts",
        "task_type": "fields",
        "labels": "company\r\ntotal: number\r\n\r\nday : date",
        "guidelines": "Read.",
        "time_zone": "Europe/Berlin",
    }

    def test_labels_and_fields_are_typed_one_to_a_line(self, as_: As) -> None:
        answer = as_("ada").post("/projects/new/", self.FORM)
        assert answer.headers["Location"] == "/projects/receipts/"
        project = Project.objects.get(slug="receipts")
        assert LabelSchema.objects.get(project=project).body["fields"] == {
            "company": {"type": "string"},
            "total": {"type": "number"},
            "day": {"type": "date"},
        }
        assert (get_guidelines(project), project.time_zone) == ("Read.", "Europe/Berlin")

    @pytest.mark.parametrize(
        ("changes", "part"),
        [
            ({"slug": "letters"}, "There is a project"),
            ({"slug": "new"}, "is taken by this page"),
            ({"slug": "no spaces"}, "valid"),
            ({"time_zone": "Mars/Base"}, "there is no time zone"),
            ({"labels": ""}, "at least one field"),
            ({"task_type": "classification", "labels": "a\na"}, "there twice"),
            ({"name": ""}, "required"),
        ],
    )
    def test_refused_it_comes_back_as_it_was_typed(
        self, as_: As, world: World, changes: dict[str, str], part: str
    ) -> None:
        assert world.letters
        answer = as_("ada").post("/projects/new/", {**self.FORM, **changes})
        assert answer.status_code == 422
        assert part in words_of(answer)
        assert "Read." in answer.content.decode()


class TestSettings:
    def test_only_what_was_changed_is_written(self, as_: As, world: World) -> None:
        project = world.letters
        form = {
            "name": "Post",
            "time_zone": "UTC",
            "guidelines": "",
            "publish_every_seconds": project.publish_every_seconds,
            "publish_after_decisions": project.publish_after_decisions,
        }
        assert as_("lea").post(PROJECT + "settings/", form).status_code == 302
        project.refresh_from_db()
        assert (project.name, project.guidelines_number) == ("Post", 0)
        assert (
            as_("lea").post(PROJECT + "settings/", {**form, "guidelines": "# New\r\nRead."}).status_code
            == 302
        )
        project.refresh_from_db()
        assert get_guidelines(project) == "# New\nRead."
        assert "<h2>New</h2>" in as_("rita").get(PROJECT + "guidelines/", headers=FRAGMENT).content.decode()

    def test_guidelines_are_a_page_with_contents(self, as_: As, world: World) -> None:
        project = world.letters
        assert "No guidelines yet" in words_of(as_("vic").get(PROJECT + "guidelines/"))
        assert "Write them" not in words_of(as_("vic").get(PROJECT + "guidelines/"))
        assert "Write them" in words_of(as_("lea").get(PROJECT + "guidelines/"))
        text = "# Dates & *times*\n\nLook twice.\n\n# <b>Names</b>"
        change_project(project=project, guidelines=text, by=world.lea.actor)
        page = as_("vic").get(PROJECT + "guidelines/")
        html = page.content.decode()
        assert '<a href="#part-1">Dates &amp; times</a>' in html
        assert '<h2 id="part-1">Dates &amp; <em>times</em></h2>' in html
        assert '<a href="#part-2">&lt;b&gt;Names&lt;/b&gt;</a>' in html
        words = words_of(page)
        assert "v1" in words
        assert "Written by lea" in words
        assert "Change them" not in words
        assert "Change them" in words_of(as_("lea").get(PROJECT + "guidelines/"))

    def test_refused(self, as_: As, world: World) -> None:
        assert world.letters
        answer = as_("lea").post(PROJECT + "settings/", {"name": "X", "time_zone": "Mars"})
        assert answer.status_code == 422


class TestPolicy:
    FORM: dict[str, Any] = {
        "number": "1",
        "high": "0.9",
        "low": "0.5",
        "audit_rate": "5",
        "sentinel_rate": "0",
        "second_review_rate": "0",
        "audits_per_day_max": "1000",
        "lease_seconds": "300",
        "blind_audit": "on",
        "autonomy": "off",
        "alpha": "2",
        "delta": "5",
        "operator_cap": "95",
        "autonomy_min_interval": "1d",
        "detector_threshold": "1000",
        "fallback_mode": "manual",
        "fallback_output": "",
        "overflow_mode": "keep",
        "note": "Two away",
        "exception_label": ["a", "", ""],
        "exception_segment": ["", "post", ""],
        "exception_then": ["force", "thresholds", "thresholds"],
        "exception_high": ["", "0.98", ""],
        "exception_low": ["", "", ""],
    }

    def test_a_lead_saves_the_next_version(self, as_: As, world: World) -> None:
        project = world.letters
        answer = as_("lea").post(PROJECT + "policy/", self.FORM)
        assert answer.status_code == 302, words_of(answer)
        version = get_policy(project, 2)
        assert (version.body["high"], version.body["audit_rate"], version.note) == (0.9, 0.05, "Two away")
        assert version.body["overrides"] == [
            {"label": "a", "force_review": True},
            {"segment": "post", "high": 0.98},
        ]
        assert version.body["alpha"] == 0.02
        text = words_of(as_("vic").get(PROJECT + "policy/"))
        for part in ("Policy v2", "Two away", "label is a: always review", "segment is post: high 0.98"):
            assert part in text
        page = as_("lea").get(PROJECT + "policy/").content.decode()
        assert 'value="0.98"' in page
        assert "Save as v3" in page

    @pytest.mark.parametrize(
        ("fields", "stored"),
        [
            (
                {"fallback_mode": "constant", "fallback_output": "a"},
                {"mode": "constant", "output": {"label": "a"}},
            ),
            (
                {
                    "fallback_mode": "rules",
                    "fallback_output": '{"label": "b"}',
                    "rule_when": ["confidence < 0.2", ""],
                    "rule_output": ["c", ""],
                },
                {
                    "mode": "rules",
                    "rules": [{"when": "confidence < 0.2", "output": {"label": "c"}}],
                    "else": {"label": "b"},
                },
            ),
        ],
    )
    def test_fallbacks(self, as_: As, world: World, fields: Any, stored: Any) -> None:
        project = world.letters
        assert as_("lea").post(PROJECT + "policy/", {**self.FORM, **fields}).status_code == 302
        assert get_policy(project, 2).body["fallback"] == stored

    def test_an_overflow_rule_is_saved_and_told(self, as_: As, world: World) -> None:
        """What belongs to a mode that is not chosen is left out."""
        rule = {"overflow_mode": "refuse", "waiting_max": "500", "after_seconds": "60"}
        project, lea = world.letters, as_("lea")
        preview = lea.post(PROJECT + "policy/preview/", {**self.FORM, **rule})
        assert "new reviews are refused above 500 waiting" in words_of(preview)
        assert lea.post(PROJECT + "policy/", {**self.FORM, **rule}).status_code == 302
        assert get_policy(project, 2).body["overflow"] == {"mode": "refuse", "waiting_max": 500}
        assert "new reviews are refused above 500 waiting" in words_of(as_("vic").get(PROJECT + "policy/"))

    def test_everything_the_contract_names_has_a_field_and_an_unchanged_form_changes_nothing(
        self, as_: As, world: World
    ) -> None:
        body = {
            **DEFAULTS,
            "audit_rate": 0.0123,
            "overrides": [{"label": "a", "segment": "post", "high": 0.987, "low": 0.1}, {"segment": "x"}],
            "alpha_by_label": {"b": 0.005},
            "assumed_false_accept": 0.1,
            "strict": True,
            "blind_audit": False,
            "overflow": {"mode": "fallback", "after_seconds": 7200},
            "fallback": {
                "mode": "rules",
                "rules": [{"when": "segment == 'de'", "output": {"label": "a"}}],
                "else": {"label": "b"},
            },
        }
        project = world.letters
        publish_policy(project=project, body=body, by=world.lea.actor)
        page = as_("lea").get(PROJECT + "policy/").content.decode()
        assert as_("lea").post(PROJECT + "policy/", fields_of(page, "policy-form")).status_code == 302
        assert get_policy(project, 3).body == body

    def test_a_draft_is_tried_before_it_is_saved_and_changes_nothing(self, as_: As, world: World) -> None:
        decide_some(world)
        lea = as_("lea")
        for headers in ({}, FRAGMENT):
            answer = lea.post(PROJECT + "policy/preview/", {**self.FORM, "high": "0.75"}, headers=headers)
            text = words_of(answer)
            assert answer.status_code == 200
            assert "Today, v1 Draft Change" in text
            assert "High: 0.95 → 0.75" in text
            assert "Exception: label is a: always review" in text
            assert "predictions of that time, routed anew" in text
            assert ("<html" in answer.content.decode()) == (not headers)
        half = lea.post(PROJECT + "policy/preview/", {**self.FORM, "high": "7"}, headers=FRAGMENT)
        assert half.status_code == 200
        assert "High : high must be a number from 0 to 1" in words_of(half)
        assert re.search(r'id="id_high_error"[^>]*hx-swap-oob="true">high must be', half.content.decode())
        assert lea.post(PROJECT + "policy/preview/", {**self.FORM, "high": "7"}).status_code == 422
        world.letters.refresh_from_db()
        assert world.letters.policy_number == 1
        assert as_("rita").post(PROJECT + "policy/preview/", self.FORM).status_code == 403

    def test_back_to_an_older_version(self, as_: As, world: World) -> None:
        assert world.letters
        lea = as_("lea")
        lea.post(PROJECT + "policy/", self.FORM)
        page = lea.get(PROJECT + "policy/").content.decode()
        assert f'href="{PROJECT}policy/?version=1"' in page
        older = lea.get(PROJECT + "policy/?version=1").content.decode()
        fields = fields_of(older, "policy-form")
        assert (fields["high"], fields["note"]) == (["0.95"], ["Back to v1"])
        assert lea.post(PROJECT + "policy/", fields).status_code == 302
        assert get_policy(world.letters, 3).body == get_policy(world.letters, 1).body
        assert lea.get(PROJECT + "policy/?version=99").status_code == 404

    @pytest.mark.parametrize(
        ("changes", "part"),
        [
            ({"high": "1.2"}, "high must be a number from 0 to 1"),
            ({"low": "0.95"}, "low may not be above high"),
            ({"audit_rate": "200"}, "audit_rate must be"),
            ({"alpha": "0"}, "alpha must be a number above 0"),
            ({"autonomy": "on", "audit_rate": "0"}, "autonomy needs audits"),
            ({"autonomy_min_interval": "0"}, "simulation projects only"),
            ({"lease_seconds": "1"}, "lease_seconds must be"),
            ({"fallback_mode": "constant", "fallback_output": "{no"}, "not a JSON object"),
            ({"fallback_mode": "constant", "fallback_output": "zebra"}, "not in the label schema"),
            (
                {"fallback_mode": "rules", "fallback_output": "a", "rule_when": "1 +", "rule_output": "b"},
                "Rule 1 +: ",
            ),
            ({"exception_high": ["", "much", ""]}, "must be a number"),
            ({"limit_label": "a", "limit_percent": "much"}, "must give labels a number"),
            ({"overflow_mode": "fallback"}, "the fallback is a person"),
            ({"overflow_mode": "refuse"}, "waiting_max must be a whole number"),
            ({"number": "7"}, "was saved meanwhile"),
        ],
    )
    def test_refused_it_names_the_place_and_changes_nothing(
        self, as_: As, world: World, changes: Any, part: str
    ) -> None:
        project = world.letters
        answer = as_("lea").post(PROJECT + "policy/", {**self.FORM, **changes})
        assert answer.status_code == 422
        assert part in words_of(answer)
        assert 'value="Two away"' in answer.content.decode()
        project.refresh_from_db()
        assert project.policy_number == 1

    def test_what_autonomy_says(self, as_: As, world: World) -> None:
        decide_some(world)
        text = words_of(as_("rita").get(PROJECT + "autonomy/"))
        assert "Off: people set the threshold" in text
        assert "none: not audited, nothing can be certified" in text


class TestDatasets:
    def test_publish_now_and_look_at_the_version(
        self, as_: As, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decide_some(world)
        lea = as_("lea")
        assert "No version yet" in words_of(lea.get(PROJECT + "datasets/"))
        assert lea.post(PROJECT + "datasets/publish/", {"note": "first"}).status_code == 302
        assert "Publishing now." in words_of(lea.get(PROJECT + "datasets/", headers=FRAGMENT))
        publication = Publication.objects.get()
        publish(publication.dataset_id)
        page = lea.get(PROJECT + "datasets/")
        text = words_of(page)
        for part in ("1 version, frozen.", "Nothing waits for the next one.", "first", "+4", "4 rows", "l-1"):
            assert part in text
        assert "/datasets/main/versions/1/records/?format=parquet" in page.content.decode()
        assert lea.get(PROJECT + "datasets/?version=1&from=1").status_code == 200

    def test_nothing_new_makes_no_version(self, as_: As, world: World) -> None:
        assert world.letters
        lea = as_("lea")
        lea.post(PROJECT + "datasets/publish/")
        assert "Nothing waits" in words_of(lea.get(PROJECT + "datasets/"))
        assert not Publication.objects.exists()

    def test_an_unknown_version_is_not_there(self, as_: As, world: World) -> None:
        decide_some(world)
        as_("lea").post(PROJECT + "datasets/publish/")
        publish(Publication.objects.get().dataset_id)
        assert as_("lea").get(PROJECT + "datasets/?version=99").status_code == 404


class TestPeople:
    def test_an_owner_sets_roles_and_removes_people(self, as_: As, world: World) -> None:
        project = world.letters
        otto = as_("otto")
        assert otto.post(PROJECT + "people/", {"username": "nora", "role": "viewer"}).status_code == 302
        assert Membership.objects.get(project=project, user=world.nora.user).role == "viewer"
        assert (
            otto.post(PROJECT + "people/", {"username": "nora", "role": "viewer", "remove": "1"}).status_code
            == 302
        )
        assert not Membership.objects.filter(project=project, user=world.nora.user).exists()
        otto.post(PROJECT + "people/", {"username": "new.colleague", "role": "reviewer"})
        assert "no password yet" in words_of(otto.get(PROJECT + "people/"))

    def test_the_last_owner_stays(self, as_: As, world: World) -> None:
        project = world.letters
        answer = as_("otto").post(PROJECT + "people/", {"username": "otto", "role": "viewer"})
        assert answer.status_code == 422
        assert "keeps at least one owner" in words_of(answer)
        assert Membership.objects.get(project=project, user=world.otto.user).role == "owner"

    def test_a_key_is_shown_once_and_can_be_revoked(self, as_: As, world: World) -> None:
        assert world.letters
        otto = as_("otto")
        answer = otto.post(
            PROJECT + "people/keys/",
            {"name": "my model", "scopes": ["ingest"], "member": "lea", "rows_per_second": "4321"},
        )
        key = ApiKey.objects.get(name="my model")
        assert (key.member.username, key.project_id) == ("lea", world.letters.pk)
        assert (key.requests_per_second, key.rows_per_second) == (None, 4321)
        assert "4321 predictions a second" in words_of(answer)
        assert f'value="{key.prefix}' in answer.content.decode()
        assert answer.headers["Cache-Control"] == "no-store"
        assert "shown this once" not in words_of(otto.get(PROJECT + "people/"))
        assert otto.post(f"{PROJECT}people/keys/{key.pk}/revoke/").status_code == 302
        key.refresh_from_db()
        assert key.revoked_at

    def test_keys_of_other_projects_and_for_strangers_are_refused(self, as_: As, world: World) -> None:
        others = world.make_project("others")
        key, _plain = (
            ApiKey.objects.create(
                name="x",
                prefix="rva_x",
                digest="x",
                scopes=["ingest"],
                project=others,
                member=world.otto.user,
                created_by=world.otto.user,
            ),
            "",
        )
        assert world.letters
        assert as_("otto").post(f"{PROJECT}people/keys/{key.pk}/revoke/").status_code == 404
        assert (
            as_("otto")
            .post(PROJECT + "people/keys/", {"name": "y", "scopes": ["ingest"], "member": "nora"})
            .status_code
            == 422
        )
        assert as_("otto").post(PROJECT + "people/keys/", {"name": "y"}).status_code == 422


class TestHistory:
    def test_who_changed_what_newest_first_with_filters(self, as_: As, world: World) -> None:
        project = world.letters
        otto = as_("otto")
        otto.post(PROJECT + "people/", {"username": "nora", "role": "viewer"})
        text = words_of(otto.get(PROJECT + "audit/"))
        assert text.index("otto set a role account nora") < text.index("otto made the project")
        assert "role: – → viewer" in text
        only = words_of(otto.get(PROJECT + "audit/?kind=member&who=otto"))
        assert "account nora" in only
        assert "project letters" not in only
        assert "No such event" in words_of(otto.get(PROJECT + "audit/?who=nobody"))
        wrong = otto.get(PROJECT + "audit/?from=yesterday")
        assert wrong.status_code == 422
        assert "from is a day such as 2026-11-20" in words_of(wrong)
        HistoryEvent.objects.bulk_create(
            HistoryEvent(project=project, action="filler", subject=f"n:{n}") for n in range(60)
        )
        first = otto.get(PROJECT + "audit/")
        before = first.content.decode().split("before=")[1].split('"')[0]
        older = otto.get(f"{PROJECT}audit/?before={before}", headers=FRAGMENT)
        assert "made the project" in words_of(older)
        assert "<html" not in older.content.decode()


class TestItems:
    def test_lists_filters_and_goes_on(self, as_: As, world: World) -> None:
        decide_some(world)
        vic = as_("vic")
        assert "l-auto" in words_of(vic.get(PROJECT + "items/"))
        further = words_of(vic.get(PROJECT + "items/?q=nothing+like+it"))
        assert "No prediction fits" in further
        assert vic.get(PROJECT + "items/?to=tomorrow").status_code == 422
        only = words_of(vic.get(PROJECT + "items/?route=auto"))
        assert "l-auto" in only
        assert "l-fall" not in only
        assert "No prediction fits" in words_of(vic.get(PROJECT + "items/?q=nowhere"))
        assert vic.get(PROJECT + "items/?route=nonsense").status_code == 422
        assert vic.get(PROJECT + "items/?before=x").status_code == 422

    def test_an_item_tells_its_story(self, as_: As, world: World) -> None:
        world.api("otto").predict(a_row(id="a/b ü#1", input={"text": "Dear Sir"})).expect(201)
        rita = world.api("rita")
        rita.decide(rita.claim_one(), "corrected", {"label": "c"}, note="looked twice").expect(201)
        listed = as_("vic").get(PROJECT + "items/").content.decode()
        url = listed.split('href="/projects/letters/items/a/')[1].split('"')[0]
        page = as_("vic").get(f"{PROJECT}items/a/{url}")
        text = words_of(page)
        for part in (
            "a/b ü#1",
            "Dear Sir",
            "reader 1",
            "rita corrected c",
            "looked twice",
            "The label that counts: c",
        ):
            assert part in text
        number = world.api("otto").story("a/b ü#1")["predictions"][0]["prediction_id"]
        assert as_("vic").get(f"{PROJECT}items/{number}/").status_code == 302
        assert as_("vic").get(f"{PROJECT}items/nowhere/").status_code == 404

    def test_an_item_that_waits_leads_to_the_desk(self, as_: As, world: World) -> None:
        world.api("otto").predict(a_row(id="first")).expect(201)
        world.api("otto").predict(a_row(id="a b&c")).expect(201)
        page = as_("lea").get(f"{PROJECT}items/a%20b%26c/").content.decode()
        address = f"{PROJECT}review/default/?q=a%20b%26c"
        assert f'href="{address}"' in page
        desk = words_of(as_("lea").get(address))
        assert "a b&c" in desk
        assert "first" not in desk
        assert "Review it" not in words_of(as_("vic").get(f"{PROJECT}items/first/")), "viewers only look"

    def test_an_item_without_a_suggestion_does_not(self, as_: As, world: World) -> None:
        world.api("otto").predict(a_row(id="low", confidence=0.1)).expect(201)
        assert "Review it" not in words_of(as_("lea").get(f"{PROJECT}items/low/")), (
            "this page shows the model's answer"
        )

    def test_models(self, as_: As, world: World) -> None:
        decide_some(world)
        text = words_of(as_("rita").get(PROJECT + "models/"))
        for part in ("reader", "6", "First seen"):
            assert part in text


class TestAccountAndErrors:
    def test_signing_in_and_out(self, world: World) -> None:
        world.rita.user.set_password("correct horse battery")
        world.rita.user.save()
        assert world.letters
        client = Client()
        form = {"username": "rita", "password": "wrong", "next": PROJECT}
        refused = client.post("/account/sign-in/", form)
        assert refused.status_code == 422
        assert 'value="rita"' in refused.content.decode()
        accepted = client.post("/account/sign-in/", {**form, "password": "correct horse battery"})
        assert accepted.headers["Location"] == PROJECT
        assert "Letters" in words_of(client.get("/account/"))
        assert client.post("/account/sign-out/").status_code == 302
        assert client.get("/account/").status_code == 302

    def test_a_fragment_for_somebody_signed_out_says_so(self, world: World) -> None:
        assert world.letters
        answer = Client().get(PROJECT, headers=FRAGMENT)
        assert answer.status_code == 401
        assert "You are signed out" in words_of(answer)

    def test_errors_are_pages_and_fragments(self, as_: As, world: World) -> None:
        rita = as_("rita")
        assert "Nothing here" in words_of(rita.get("/nowhere/"))
        answer = rita.get("/projects/nowhere/", headers=FRAGMENT)
        assert answer.status_code == 404
        assert "<html" not in answer.content.decode()
        assert "HX-Request" in answer.headers["Vary"]
        assert world.letters
        assert "may not do this" in words_of(rita.get(PROJECT + "audit/"))

    @pytest.mark.parametrize("kind", LabelingError.__subclasses__())
    def test_pages_and_api_agree_on_the_status_of_an_error(self, kind: type[LabelingError]) -> None:
        error = kind("some_code", say("Something."))
        told = problem_of(error)
        assert told is not None
        assert status_of(error) == told[0]["status"]

    def test_a_stop_is_on_every_page(self, as_: As, world: World) -> None:
        project = world.letters
        period = PolicyPeriod.objects.get(project=project, ended_at=None)
        PolicyPeriod.objects.filter(pk=period.pk).update(ended_at=timezone.now())
        period.pk, period.high, period.reason = None, 2.0, "stopped: merchant codes changed"
        period.save()
        for path in ("", "policy/", "models/"):
            text = words_of(as_("rita").get(PROJECT + path))
            assert "Automatic results are stopped" in text
            assert "merchant codes changed" in text

    def test_a_simulation_says_so_on_every_page(self, as_: As, world: World) -> None:
        world.make_project("replayed", simulation=True)
        for path in ("", "policy/", "models/", "datasets/"):
            assert "This project is a simulation." in words_of(as_("otto").get(f"/projects/replayed/{path}"))

    def test_times_are_in_the_projects_zone(self, as_: As, world: World) -> None:
        project = world.make_project("there", time_zone="Pacific/Kiritimati")
        page = as_("otto").get(f"/projects/{project.slug}/policy/").content.decode()
        assert "+14:00" in page
        assert "+14:00" not in as_("otto").get("/").content.decode()

    def test_nobody_knows_who_has_an_account(self, db: None) -> None:
        get_user_model().objects.create_user("real", password="correct horse battery")
        texts = {
            words_of(Client().post("/account/sign-in/", {"username": name, "password": "x"}))
            for name in ("real", "unreal")
        }
        assert len(texts) == 1
