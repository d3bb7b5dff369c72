"""The way into an embedded instance: made once, kept, and mended when a part of it is gone."""

import json
import stat
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command
from django.http import HttpRequest
from django.utils import timezone

from labeling.projects.models import ApiKey, Scope
from labeling.projects.services import digest_of
from labeling.replay.credentials import (
    Credentials,
    NoCredentialsError,
    read_credentials,
    write_credentials,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(settings: Any, tmp_path: Path) -> Path:
    """An embedded instance that was never started."""
    settings.ENV = replace(settings.ENV, database_url=None)
    settings.REVIEWAPP_CREDENTIALS = tmp_path / "home" / "credentials.json"
    return settings.REVIEWAPP_CREDENTIALS


def bootstrap(**options: Any) -> str:
    said = StringIO()
    call_command("bootstrap", stdout=said, **options)
    return said.getvalue()


def the_key(credentials: Credentials) -> ApiKey:
    return ApiKey.objects.get(digest=digest_of(credentials.api_key))


def test_the_first_start_makes_an_administrator_and_a_key_that_may_do_everything(path: Path) -> None:
    bootstrap(url="http://127.0.0.1:8123")

    made = read_credentials(path)
    assert set(json.loads(path.read_text())) == {"url", "username", "password", "api_key"}
    assert made.url == "http://127.0.0.1:8123"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    user = authenticate(HttpRequest(), username=made.username, password=made.password)
    assert user is not None
    assert user.is_superuser
    key = the_key(made)
    assert (set(key.scopes), key.member, key.project) == (set(Scope.values), user, None)


def test_starting_again_changes_nothing(path: Path) -> None:
    bootstrap()
    before = path.read_bytes()

    assert bootstrap() == ""

    assert path.read_bytes() == before
    assert ApiKey.objects.count() == 1


def test_another_port_is_written_down(path: Path) -> None:
    bootstrap(url="http://127.0.0.1:8000")
    before = read_credentials(path)

    bootstrap(url="http://127.0.0.1:8001")

    assert read_credentials(path) == replace(before, url="http://127.0.0.1:8001")


def test_a_lost_file_gets_a_new_password_and_key(path: Path) -> None:
    bootstrap()
    before = read_credentials(path)
    path.unlink()

    bootstrap()

    after = read_credentials(path)
    assert after.username == before.username
    assert after.password != before.password
    assert authenticate(HttpRequest(), username=after.username, password=after.password) is not None


def test_a_damaged_file_is_written_anew(path: Path) -> None:
    bootstrap()
    path.write_text('{"url": ')

    bootstrap()

    assert read_credentials(path).username == "admin"


def test_a_person_who_is_gone_comes_back_with_the_same_password(path: Path) -> None:
    bootstrap()
    before = read_credentials(path)
    ApiKey.objects.all().delete()
    get_user_model().objects.update(username="somebody-else")

    bootstrap()

    after = read_credentials(path)
    assert after.password == before.password
    assert authenticate(HttpRequest(), username=after.username, password=after.password) is not None
    assert the_key(after).member.get_username() == after.username


def test_a_person_with_another_name_is_known_by_the_key(path: Path) -> None:
    bootstrap()
    before = read_credentials(path)
    get_user_model().objects.update(username="ada")

    bootstrap()

    assert read_credentials(path) == replace(before, username="ada")
    assert get_user_model().objects.count() == 1


def test_a_revoked_key_is_replaced_and_the_password_is_left_alone(path: Path) -> None:
    bootstrap()
    before = read_credentials(path)
    user = get_user_model().objects.get()
    user.set_password("chosen by the person")
    user.save()
    ApiKey.objects.update(revoked_at=timezone.now(), revoked_by=user)

    bootstrap()

    after = read_credentials(path)
    assert after.api_key != before.api_key
    assert the_key(after).revoked_at is None
    assert authenticate(HttpRequest(), username=after.username, password="chosen by the person") is not None


def test_somebody_who_was_shut_out_on_purpose_stays_out(path: Path) -> None:
    bootstrap()
    get_user_model().objects.update(is_active=False)

    assert "deactivated" in bootstrap()

    assert not get_user_model().objects.filter(is_active=True).exists()


def test_the_administrators_of_a_shared_database_are_not_touched(path: Path, settings: Any) -> None:
    settings.ENV = replace(settings.ENV, database_url="postgresql://elsewhere/db")
    get_user_model().objects.create_superuser("admin", password="theirs")

    assert "has an administrator already" in bootstrap()

    assert not path.exists()
    assert authenticate(HttpRequest(), username="admin", password="theirs") is not None


def test_the_file_is_never_there_in_part(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    credentials = Credentials(url="http://x", username="admin", password="p", api_key="k")

    write_credentials(path, credentials)
    write_credentials(path, replace(credentials, password="q"))

    assert read_credentials(path).password == "q"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "http://x"}'])
def test_what_is_no_credentials_file_is_said_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(text)

    with pytest.raises(NoCredentialsError, match="is not a credentials file"):
        read_credentials(path)


def test_without_credentials_a_replay_says_what_is_missing(path: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Is the instance running"):
        call_command("replay", tmp_path / "rows.jsonl", project="p")


def test_a_key_can_be_made_on_the_command_line() -> None:
    get_user_model().objects.create_user("rita")
    said = StringIO()

    call_command("create_api_key", "rita", scopes=["ingest", "review"], stdout=said)

    key = ApiKey.objects.get(digest=digest_of(said.getvalue().strip()))
    assert (key.scopes, key.member.get_username()) == (["ingest", "review"], "rita")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nora", "--scope", "review"], "no active user 'nora'"),
        (["rita"], "at least one --scope"),
        (["rita", "--scope", "review", "--project", "none"], "no project 'none'"),
        (["rita", "--scope", "everything"], "invalid choice"),
    ],
)
def test_a_key_that_cannot_be_made_is_explained(arguments: list[str], said: str) -> None:
    get_user_model().objects.create_user("rita")

    with pytest.raises(CommandError, match=said):
        call_command("create_api_key", *arguments, stdout=StringIO())


@pytest.mark.parametrize(
    "options",
    [
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--reviewers", "-1"],
        ["--reviewers", "1.5"],
        ["--false-accept", "1.1"],
        ["--limit", "0"],
        ["--policy", "[]"],
        ["--policy", "{"],
        ["--policy", "@/nonexistent"],
    ],
)
def test_a_wrong_option_of_a_replay_is_refused(options: list[str]) -> None:
    with pytest.raises(CommandError, match="argument --"):
        call_command("replay", "rows.jsonl", "--project", "p", *options)
