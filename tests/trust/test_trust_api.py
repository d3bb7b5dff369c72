"""GET /api/v1/projects/<slug>/trust/: the contract's shape, who may ask, and what is refused."""

import jsonschema
import pytest
from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
from drf_spectacular.generators import SchemaGenerator

from labeling.api.v1 import trust
from labeling.history.actor import Actor
from labeling.projects.services import create_api_key
from labeling.trust.models import TrustDelta
from tests.trust.history import T0, History, live_at_random

pytestmark = pytest.mark.django_db

PATH = "/api/v1/projects/news/trust/"
RATE_KEYS = {"value", "low", "high", "n", "count", "population", "method"}
NAMES = {
    "review_rate",
    "confirmation_rate",
    "correction_rate",
    "automation_rate",
    "fallback_rate",
    "human_touch_rate",
    "auto_error_rate",
    "auto_error_upper",
    "model_error_rate",
    "served_error_rate",
    "reject_rate",
}
AUTONOMY_KEYS = {
    "level",
    "share",
    "certified_share",
    "reachable_share",
    "auto_error_upper",
    "alpha",
    "epoch",
    "audit_rate",
    "warned",
    "next_step_needs",
}


@pytest.fixture
def history():
    return History()


@pytest.fixture
def ask(history, client):
    """Ask as a person with a role in the project (or none), with a key of these scopes."""

    def asking(params=None, *, role="owner", scopes=("manage", "datasets:read"), path=PATH):
        name = role or "nora"
        person = history.person(name, role) if role else _stranger()
        actor = Actor(person.pk, name)
        _, plain = create_api_key(name="test", scopes=list(scopes), project=None, member=person, by=actor)
        return client.get(path, params or {}, headers={"Authorization": f"Bearer {plain}"})

    return asking


def _stranger():
    from django.contrib.auth import get_user_model

    return get_user_model().objects.create_user("nora")


def test_the_answer_has_the_contracts_shape_and_counts_what_was_just_committed(history, ask):
    live_at_random(history, 1, days=5)
    assert TrustDelta.objects.exists()
    response = ask()
    assert response.status_code == 200
    body = response.json()
    assert not TrustDelta.objects.exists()
    assert body["is_current"] is True
    assert set(body["now"]) >= NAMES
    assert set(body["autonomy"]) == AUTONOMY_KEYS | {"scopes", "stopped", "proposed_low"}
    assert body["series"]
    for point in body["series"]:
        assert set(point) == {"start", "end", "rates"}
        assert NAMES - {"auto_error_upper"} <= set(point["rates"])
    for rate in [*body["now"].values(), *body["series"][0]["rates"].values()]:
        assert set(rate) - {"note"} == RATE_KEYS
    parts = [body["now"][name]["value"] for name in ("review_rate", "automation_rate", "fallback_rate")]
    assert parts[0] + parts[1] + parts[2] == 1.0
    assert body["autonomy"]["share"] == parts[1]


def test_by_adds_a_key_to_each_point(history, ask):
    history.route("review", segment="north")
    history.route("review")
    body = ask({"by": "segment", "from": "2025-03-01", "to": "2025-03-31"}).json()
    assert {(point["key"], point["key_kind"]) for point in body["series"]} == {
        ("north", "value"),
        (None, "none"),
    }
    assert body["series"][0]["start"] == "2025-03-03T00:00:00Z"
    assert body["window"] == {
        "start": "2025-03-01T00:00:00Z",
        "end": "2025-04-01T00:00:00Z",
        "time_zone": "UTC",
        "every": "day",
        "by": "segment",
    }
    assert len(body["totals"]) == 2


def test_times_carry_the_projects_offset(client):
    history = History("india", time_zone="Asia/Kolkata")
    history.route("review", at=T0)
    owner = history.person("olga", "owner")
    client.force_login(owner)
    body = client.get("/api/v1/projects/india/trust/").json()
    assert body["series"][0]["start"] == "2025-03-03T00:00:00+05:30"


def test_an_empty_project_answers_with_empty_values(ask):
    body = ask().json()
    assert body["series"] == []
    assert body["now"]["review_rate"]["value"] is None
    assert body["autonomy"]["share"] is None


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"from": "soon"}, "/from"),
        ({"to": "2025-13-01"}, "/to"),
        ({"from": "2025-03-02", "to": "2025-03-01"}, "/to"),
        ({"every": "year"}, "/every"),
        ({"by": "weather"}, "/by"),
        ({"model_version": "nobody"}, "/model_version"),
        ({"by": "label", "every": "hour"}, "/every"),
    ],
)
def test_what_cannot_be_answered_is_422_and_names_the_field(ask, params, pointer):
    response = ask(params)
    assert response.status_code == 422
    assert response["Content-Type"] == "application/problem+json"
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


def test_strangers_and_the_unknown_are_not_found(ask):
    assert ask(role=None).status_code == 404
    assert ask(path="/api/v1/projects/olds/trust/").status_code == 404
    assert ask(path="/api/v1/projects/%00/trust/").status_code == 404


def test_without_a_key_or_its_scope_nothing_is_told(client, ask):
    assert client.get(PATH).status_code == 401
    assert ask(scopes=["review"]).status_code == 403


def test_only_leads_see_rates_of_persons(history, ask):
    history.answer(history.route("review"), "confirmed")
    for params in ({"by": "reviewer"}, {"reviewer": "rita"}):
        assert ask(params, role="viewer").status_code == 403
        body = ask(params, role="lead").json()
        assert body["now"]["confirmation_rate"]["n"] == 1


def test_the_schema_is_made_without_a_warning_and_describes_the_answer(history, ask):
    live_at_random(history, 2, days=3)
    reset_generator_stats()
    schema = SchemaGenerator(patterns=trust.urlpatterns).get_schema(request=None, public=True)
    assert not GENERATOR_STATS
    (operation,) = [path["get"] for path in schema["paths"].values()]
    assert [p["name"] for p in operation["parameters"] if p["in"] == "query"] == [
        "by",
        "every",
        "from",
        "label",
        "model_version",
        "reviewer",
        "segment",
        "to",
    ]
    described = {**schema["components"]["schemas"]["TrustOut"], "components": schema["components"]}
    jsonschema.validate(ask({"by": "segment"}).json(), described)
