"""Pages speak another language when there is a catalogue for it; API answers stay English."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.utils import translation

from labeling.alerts.delivery import Sent, body_of, deliver_due
from labeling.alerts.models import Alert, AlertDelivery, AlertKind
from labeling.alerts.services import add_recipient, raise_alert
from labeling.datasets.models import Dataset, Publication, WaitingDecision
from labeling.datasets.services import publish, request_publication
from labeling.errors import ConflictError, Sentence, quote, say
from labeling.history.models import HistoryEvent
from labeling.ledger.models import LedgerRun
from labeling.ledger.runs import ask_for_run, run_waiting
from labeling.management.commands import makemessages
from labeling.pipeline.watching import watch
from labeling.projects.models import Membership
from labeling.sentences import keep, restored, shortened, stored
from labeling.trust.steering import stop_automatic
from labeling.web.wording import in_language
from tests.web.reading import words_of
from tests.world import World, a_row

GERMAN = {
    "": "Content-Type: text/plain; charset=UTF-8\n",
    "Projects": "Projekte",
    "There is no such project.": "Dieses Projekt gibt es nicht.",
    "There is a project {slug!r} already.": "Ein Projekt {slug!r} gibt es schon.",
    "{why}: {now}.": "{why} – {now}.",
    "The claim was lost": "Der Fall ist weg",
    "{who} holds this task now": "{who} hat ihn jetzt",
    "low may not be above high": "{lwo} ist verdreht",
    "The oldest task of {queue} has waited {hours:.1f} h; {waiting} wait.": "In {queue} warten {waiting}, die erste seit {hours:.1f} h.",
    "Queue too old": "Zu lange gewartet",
    "It answered {status}.": "Die Antwort war {status}.",
    "The batch of this publication is not what was read.": "Das ist nicht, was gelesen wurde.",
    "Every effective label is once in or before each dataset, no other is": "Jedes Label ist einmal im Datensatz",
    "{subject} {id} {wrong}": "{subject} {id} {wrong}",
    "decision": "Entscheidung",
    "is {labels} times in or before dataset {slug}": "ist {labels}-mal im Datensatz {slug}",
    "set a role": "vergab eine Rolle",
    "reopened a task": "öffnete eine Aufgabe wieder",
    "account": "Konto",
    "role": "Rolle",
    "viewer": "Gast",
    "decided by": "entschieden von",
    "verdict": "Urteil",
    "confirmed": "bestätigt",
    "Confirmed": "Bestätigt",
    "medium confidence": "mittlere Sicherheit",
    "nothing was automatic": "nichts war automatisch",
    "stopped: {reason}": "angehalten: {reason}",
    "Stopped: {reason}": "Angehalten: {reason}",
    "membership": "Mitgliedschaft",
    "memberships": "Mitgliedschaften",
    "project": "Projekt",
    "Owner": "Eigentümer",
    "%(user)s in project %(project)s: %(role)s": "%(role)s von Projekt %(project)s: %(user)s",
    "Labeling": "Beschriftung",
    "API key": "API-Schlüssel",
    "name": "Name",
    "Scopes": "Bereiche",
    "requests per second": "Anfragen je Sekunde",
    "Empty: no limit": "Leer: unbegrenzt",
    "It may": "Er darf",
    "may": "darf",
    "send predictions, read outcomes": "Vorhersagen schicken, Ergebnisse lesen",
}
AS_GERMAN = {"Accept-Language": "de"}


def write_catalogue(folder: Path, texts: Mapping[str, str]) -> None:
    """A compiled catalogue as GNU gettext makes them: two tables of lengths and places, then the texts."""
    pairs = sorted((one.encode(), other.encode()) for one, other in texts.items())
    texts_at = 28 + 16 * len(pairs)
    tables: list[bytes] = []
    body = b""
    for column in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<2I", len(pair[column]), texts_at + len(body)))
            body += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(head + b"".join(tables) + body)


@pytest.fixture
def german(settings: Any, tmp_path: Path) -> Iterator[None]:
    """German beside English, as a browser asks for it."""
    write_catalogue(tmp_path / "de" / "LC_MESSAGES", GERMAN)
    settings.LOCALE_PATHS = [tmp_path]
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    yield
    translation.activate("en")


def test_a_page_is_in_the_language_the_browser_asks_for(world: World, german: None) -> None:
    page = world.browser("otto").client.get("/", headers={"Accept-Language": "de-AT, en;q=0.5"})
    assert page.headers["Content-Language"] == "de"
    text = page.content.decode()
    assert '<html lang="de">' in text
    assert "Projekte" in text
    assert "Projects" not in text.replace("/projects", "")
    assert b"Projects" in world.browser("otto").client.get("/").content


def test_errors_of_stages_are_in_that_language_on_pages(world: World, german: None) -> None:
    browser = world.browser("nora").client
    refused = browser.get("/projects/nope/", headers={"Accept-Language": "de"})
    assert refused.status_code == 404
    assert "Dieses Projekt gibt es nicht." in refused.content.decode()
    assert "There is no such project." in browser.get("/projects/nope/").content.decode()


def test_the_api_stays_english(world: World, german: None) -> None:
    world.make_project("disputes")
    body = {"slug": "disputes", "name": "x", "task_type": "text", "label_schema": {}}
    answer = world.api("ada").post("/projects/", body, **{"Accept-Language": "de"})
    problem = answer.expect_problem(409, "slug_taken")
    assert problem["detail"] == "There is a project 'disputes' already."


def test_sentences_inside_sentences_are_put_into_words_too(german: None) -> None:
    lost = say(
        "{why}: {now}.", why=say("The claim was lost"), now=say("{who} holds this task now", who="Rita")
    )
    assert lost == "The claim was lost: Rita holds this task now."
    with translation.override("de"):
        assert in_language(lost) == "Der Fall ist weg – Rita hat ihn jetzt."
        assert (
            in_language(say("There is a project {slug!r} already.", slug="{a}"))
            == "Ein Projekt '{a}' gibt es schon."
        )


def test_what_nobody_has_translated_or_translated_wrongly_stays_english(german: None) -> None:
    with translation.override("de"):
        assert in_language(say("{name} is missing", name="id")) == "id is missing"
        assert in_language(say("low may not be above high")) == "low may not be above high"
        assert in_language(quote("Projects {0}")) == "Projects {0}"
        assert in_language("plain") == "plain"


def test_sentences_are_collected_for_translators_and_survive_a_process() -> None:
    import pickle

    assert "--keyword=say" in makemessages.Command.xgettext_options
    kept = pickle.loads(pickle.dumps(say("{name} is missing", name="id")))
    assert isinstance(kept, Sentence)
    assert (kept, kept.template) == ("id is missing", "{name} is missing")


def test_stored_sentences_come_back_as_they_were() -> None:
    """What JSON cannot say is stored in a readable form."""
    zurich = timezone(timedelta(hours=1))
    sentence = say(
        "{what}: {n} of {share:.1%}, {price:.2f}, {at:%d.%m.%Y %H:%M}, {day}, {span}, {names}, {none}, {label!r}, {odd}",
        what=say("{who} waits", who="Rita"),
        n=3,
        share=0.125,
        price=Decimal("1.10"),
        at=datetime(2026, 11, 20, 9, 41, tzinfo=zurich),
        day=date(2026, 11, 20),
        span=timedelta(minutes=90),
        names=["a", "b"],
        none=None,
        label="{a}",
        odd=float("inf"),
    )
    columns = stored(detail=sentence)
    kept = json.loads(json.dumps(columns, allow_nan=False))
    assert columns["detail"] == sentence
    assert type(columns["detail"]) is str
    assert kept["said"]["detail"]["values"]["at"] == {"datetime": "2026-11-20T09:41:00+01:00"}
    assert kept["said"]["detail"]["values"]["price"] == {"decimal": "1.10"}
    back = restored(kept, "detail")
    assert (back, back.template, dict(back.values)) == (sentence, sentence.template, dict(sentence.values))


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        {"detail": None},
        {"detail": {"template": "It is {gone}", "values": {}}},
        {"detail": {"template": "It is {a}", "values": {"a": {"date": "gone"}}}},
        {"detail": {"template": "It was another text", "values": {}}},
        {"detail": {"unheard": "of"}},
        {"detail": "text"},
        [],
    ],
)
def test_a_text_without_its_parts_stays_english(said: Any) -> None:
    assert restored({"detail": "It is {old}.", "said": said}, "detail") == "It is {old}."
    assert restored({"detail": "It is {old}."}, "detail").template == "{text}"


def test_a_text_that_was_written_again_leaves_nothing_of_the_first() -> None:
    run = LedgerRun()
    keep(run, error=say("It answered {status}.", status=500))
    assert restored(run, "error").values == {"status": 500}
    keep(run, error="")
    assert (run.error, run.said) == ("", None)


def test_long_sentences_are_cut_where_their_values_are() -> None:
    long = say("{host} says {why}", host="h" * 3_000, why=say("it is {big}", big="b\x00" * 3_000))
    cut = shortened(long, 2_000)
    assert len(cut) <= 2_000
    assert "\x00" not in cut
    assert restored(stored(error=cut), "error").template == "{host} says {why}"
    assert shortened(quote("x" * 5_000), 1_000) == "x" * (1_000 - len("{text}"))


def test_an_alert_is_german_on_its_page_and_english_elsewhere(world: World, german: None) -> None:
    add_recipient(
        channel="webhook", address="https://example.org/", kinds=[], project=None, by=world.ada.actor
    )
    raise_alert(
        kind=AlertKind.QUEUE_TOO_OLD,
        subject="queue:q",
        detail=say(
            "The oldest task of {queue} has waited {hours:.1f} h; {waiting} wait.",
            queue="Reviews",
            hours=25.25,
            waiting=7,
        ),
        project_id=world.letters.pk,
    )
    english = "The oldest task of Reviews has waited 25.2 h; 7 wait."
    browser = world.browser("lea").client
    assert "In Reviews warten 7, die erste seit 25.2 h." in words_of(
        browser.get("/alerts/", headers=AS_GERMAN)
    )
    assert english in words_of(browser.get("/alerts/"))

    listed = world.api("lea").get("/api/v1/alerts/", **AS_GERMAN).expect(200)
    assert [alert["detail"] for alert in listed["results"]] == [english]
    delivery = AlertDelivery.objects.get()
    assert body_of(delivery)["data"]["detail"] == english
    with translation.override("de"):
        assert body_of(delivery)["data"]["detail"] == english

    keep(delivery, error=say("It answered {status}.", status=500))
    delivery.save()
    told = world.browser("ada").client.get("/alerts/recipients/", headers=AS_GERMAN)
    assert "Die Antwort war 500." in words_of(told)
    ada, alert = world.browser("ada").client, Alert.objects.get()
    assert "Die Antwort war 500." in words_of(ada.get("/admin/labeling/alertdelivery/", headers=AS_GERMAN))
    shown = words_of(ada.get(f"/admin/labeling/alert/{alert.pk}/change/", headers=AS_GERMAN))
    assert "In Reviews warten 7, die erste seit 25.2 h." in shown
    assert english not in shown

    Alert.objects.update(said=None)  # as alerts were before
    assert english in words_of(browser.get("/alerts/", headers=AS_GERMAN))


def test_a_failed_publication_is_german_on_pages(
    world: World, german: None, settings: Any, tmp_path: Path
) -> None:
    settings.REVIEWAPP_STORAGE = str(tmp_path / "storage")
    dataset = Dataset.objects.get(project=world.letters)
    world.api("otto").predict(a_row()).expect(201)
    rita = world.api("rita")
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    request_publication(dataset=dataset, by=world.lea.actor)

    def fail(point: str) -> None:
        if point == "built":
            raise ConflictError("batch_changed", say("The batch of this publication is not what was read."))

    for _attempt in range(5):
        with pytest.raises(ConflictError):
            publish(dataset.pk, pause=fail)
    lea = world.browser("lea").client
    page = lea.get("/projects/letters/datasets/", headers=AS_GERMAN)
    assert "ConflictError: Das ist nicht, was gelesen wurde." in words_of(page)
    english = "ConflictError: The batch of this publication is not what was read."
    assert english in words_of(lea.get("/projects/letters/datasets/"))

    watch()  # an alert with the error inside
    assert "Das ist nicht, was gelesen wurde." in words_of(lea.get("/alerts/", headers=AS_GERMAN))
    (alert,) = world.api("lea").get("/api/v1/alerts/").expect(200)["results"]
    assert alert["detail"].endswith(english)

    publish(dataset.pk)  # gives up
    assert Publication.objects.get(state="failed").error == english
    assert HistoryEvent.objects.get(action="publication.failed").details["error"] == english
    history = "/projects/letters/audit/?kind=publication"
    assert "Das ist nicht, was gelesen wurde." in words_of(lea.get(history, headers=AS_GERMAN))
    assert english in words_of(lea.get(history))


def test_what_became_of_autonomy_is_german_on_pages(world: World, german: None) -> None:
    world.api("otto").predict(a_row(id="l-1")).expect(201)
    stop_automatic(world.letters, reason="new scanner", by=world.lea.actor)
    world.api("otto").predict(a_row(id="l-2")).expect(201)
    lea = world.browser("lea").client
    autonomy = words_of(lea.get("/projects/letters/autonomy/", headers=AS_GERMAN))
    assert "Angehalten: new scanner" in autonomy
    assert "angehalten: new scanner" in autonomy, "the banner"
    assert "angehalten: new scanner" in words_of(lea.get("/projects/letters/items/l-2/", headers=AS_GERMAN))
    assert "stopped: new scanner" in words_of(lea.get("/projects/letters/items/l-2/"))
    story = world.api("lea").get("/projects/letters/predictions/l-2/", **AS_GERMAN).expect(200)
    assert story["predictions"][0]["in_force"]["reason"] == "stopped: new scanner"
    (event,) = world.api("lea").get("/projects/letters/autonomy/events/", **AS_GERMAN).expect(200)["results"]
    assert event["reason"] == "Stopped: new scanner"


def test_findings_of_the_ledger_are_german_on_their_page(world: World, german: None) -> None:
    world.api("otto").predict(a_row()).expect(201)
    rita = world.api("rita")
    decision = rita.decide(rita.claim_one(), "confirmed").expect(201)["decision"]
    WaitingDecision.objects.all().delete()
    ask_for_run(by=world.ada.actor, since=None)
    run_waiting()
    ada = world.browser("ada").client
    german_page = words_of(ada.get("/ledger/", headers=AS_GERMAN))
    assert "Jedes Label ist einmal im Datensatz" in german_page
    assert f"Entscheidung {decision} ist 0-mal im Datensatz main" in german_page
    assert f"decision {decision} is 0 times in or before dataset main" in words_of(ada.get("/ledger/"))

    run = LedgerRun.objects.get()  # as runs were stored before
    run.findings = [
        {"name": "x", "promise": "A promise", "checked": 3, "wrong": 1, "examples": ["task 7 is away"]}
    ]
    run.save()
    older = words_of(ada.get("/ledger/", headers=AS_GERMAN))
    assert "A promise" in older
    assert "task 7 is away" in older


def test_notes_beside_rates_are_german_on_their_page(world: World, german: None) -> None:
    world.api("otto").predict(a_row(id="l-1")).expect(201)
    lea = world.browser("lea").client
    assert "nichts war automatisch" in words_of(lea.get("/projects/letters/trust/", headers=AS_GERMAN))
    rates = world.api("lea").get("/projects/letters/trust/", **AS_GERMAN).expect(200)
    assert "nothing was automatic" in json.dumps(rates)


def test_the_history_is_german_on_pages_key_by_key(world: World, german: None) -> None:
    otto, rita = world.browser("otto").client, world.api("rita")
    otto.post("/projects/letters/people/", {"username": "nora", "role": "viewer"})
    world.api("otto").predict(a_row(id="l-1")).expect(201)
    task = rita.claim_one()
    rita.decide(task, "confirmed").expect(201)
    world.api("lea").post(f"/api/v1/tasks/{task['task']}/reopen/", {"reason": "blurred"}).expect(200)

    words = words_of(otto.get("/projects/letters/audit/", headers=AS_GERMAN))
    assert "vergab eine Rolle Konto nora Rolle: – → Gast" in words
    assert "öffnete eine Aufgabe wieder" in words
    assert "Urteil: bestätigt" in words
    assert "entschieden von: rita" in words
    assert "decided_by" not in words
    english = words_of(otto.get("/projects/letters/audit/"))
    assert "set a role account nora role: – → viewer" in english
    assert "verdict: confirmed" in english
    assert "decided by: rita" in english
    assert HistoryEvent.objects.get(action="task.reopened").details["decided_by"] == "rita"

    item = words_of(otto.get("/projects/letters/items/l-1/", headers=AS_GERMAN))
    assert "rita bestätigt" in item
    assert "mittlere Sicherheit" in item
    story = world.api("lea").get("/projects/letters/predictions/l-1/", **AS_GERMAN).expect(200)
    assert (story["decisions"][0]["verdict"], story["predictions"][0]["reason"]) == ("confirmed", "medium")
    mine = words_of(world.browser("rita").client.get("/projects/letters/tasks/mine/", headers=AS_GERMAN))
    assert "Bestätigt" in mine


def test_lists_and_forms_of_the_admin_are_german(world: World, german: None) -> None:
    ada, owner = world.browser("ada").client, Membership.objects.get(project=world.letters, role="owner")
    members = ada.get("/admin/labeling/membership/", headers=AS_GERMAN)
    columns = re.findall(r"<th [^>]*column-\w+.*?<a [^>]*>(\w+)</a>", members.content.decode(), re.DOTALL)
    assert columns == ["Projekt", "Benutzer", "Rolle"]
    assert "Beschriftung › Mitgliedschaften" in words_of(members)
    assert "Eigentümer" in words_of(members)
    change = f"/admin/labeling/membership/{owner.pk}/change/"
    row = f"Eigentümer von Projekt {owner.project_id}: {owner.user_id}"
    assert row in words_of(ada.get(change, headers=AS_GERMAN))
    assert f"{owner.user_id} in project {owner.project_id}: Owner" in words_of(ada.get(change))

    form = words_of(ada.get("/admin/labeling/apikey/add/", headers=AS_GERMAN))
    for words in ("API-Schlüssel hinzufügen", "Name:", "Bereiche:", "Projekt:", "Anfragen je Sekunde:"):
        assert words in form
    assert "Leer: unbegrenzt" in form
    assert "Vorhersagen schicken, Ergebnisse lesen (ingest)" in form
    assert "Requests per second" in words_of(ada.get("/admin/labeling/apikey/add/"))


def test_what_keys_may_is_german_beside_its_code(world: World, german: None) -> None:
    otto = world.browser("otto").client
    otto.post("/projects/letters/people/keys/", {"name": "mine", "scopes": ["ingest"]})
    people = "/projects/letters/people/"
    told = words_of(otto.get(people, headers=AS_GERMAN))
    assert told.count("Vorhersagen schicken, Ergebnisse lesen ingest") == 2, "in the list and in the form"
    assert "read versions and records datasets:read" in words_of(otto.get(people))
    history = words_of(otto.get("/projects/letters/audit/", headers=AS_GERMAN))
    assert "darf: Vorhersagen schicken, Ergebnisse lesen" in history
    assert HistoryEvent.objects.get(action="key.created").details["scopes"] == ["ingest"]


def test_a_message_by_mail_is_english_whoever_sends_it(world: World, german: None, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    add_recipient(channel="email", address="ops@example.org", kinds=[], project=None, by=world.ada.actor)
    raise_alert(
        kind=AlertKind.QUEUE_TOO_OLD, subject="queue:q", detail=say("It answered {status}.", status=500)
    )
    with translation.override("de"):
        assert deliver_due() == Sent(1, 0)
    (message,) = mail.outbox
    assert message.subject == "[reviewapp] Queue too old"
    assert "It answered 500." in str(message.body)
