"""`manage.py replay`: send a recorded file through the public API, with simulated reviewers if wanted."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.replay.answers import Habits
from labeling.replay.client import Patience, ReplayError
from labeling.replay.credentials import NoCredentialsError, read_credentials
from labeling.replay.run import Options, run_replay
from labeling.replay.source import SourceError

KEEP_AHEAD = 500


class Command(BaseCommand):
    help = (
        "Replay a recorded file over HTTP: a model service that sends, and people who know the truth but err."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("file", type=Path, help="JSON lines, gzipped or not")
        add("--project", required=True, metavar="SLUG", help="made when it is missing")
        add("--url", help="the instance; default: the one whose credentials are in $REVIEWAPP_HOME")
        add("--api-key", help="default: from the same credentials")
        add("--policy", type=_policy, metavar="JSON", help="the routing policy to put in force, or @FILE")
        add("--rate", type=_rate, metavar="N/s", help="rows a second; default: as fast as they are taken")
        add("--reviewers", type=_count, default=0, metavar="N", help="how many people work; default 0")
        add(
            "--false-accept",
            type=_share,
            default=0.0,
            metavar="P",
            help="share of wrong suggestions they let pass",
        )
        add("--false-correct", type=_share, default=0.0, metavar="P", help="share of right ones they change")
        add("--lenient", action="store_true", help="labels that the file calls acceptable are confirmed")
        add("--limit", type=_positive, metavar="N", help="only the first N rows of the file")
        add(
            "--repeat",
            type=_positive,
            default=1,
            metavar="N",
            help="the file N times, ids ending in ~2, ~3, ...",
        )
        add(
            "--degrade",
            type=_share,
            default=0.0,
            metavar="P",
            help="share of confident predictions made wrong",
        )
        add("--seed", type=int, default=0, help="of everything drawn; default 0")
        add("--ahead", type=_count, default=KEEP_AHEAD, metavar="N", help=_AHEAD_HELP)
        add("--patience", type=_seconds, default=120.0, metavar="S", help="how long the server may be away")

    def handle(self, *_: Any, **options: Any) -> None:
        patience = Patience(options["patience"])
        try:
            summary = run_replay(self._options(options, patience), self._report)
        except (ReplayError, SourceError, NoCredentialsError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError(
                "Interrupted; the same command goes on where it was.", returncode=130
            ) from None
        self.stdout.write(json.dumps(summary))

    def _report(self, line: str) -> None:
        self.stderr.write(line)

    def _options(self, given: dict[str, Any], patience: Patience) -> Options:
        url, key = given["url"], given["api_key"]
        if not url or not key:
            kept = read_credentials(Path(settings.REVIEWAPP_CREDENTIALS))
            url, key = url or kept.url, key or kept.api_key
        copied = (
            "file",
            "project",
            "rate",
            "reviewers",
            "limit",
            "repeat",
            "degrade",
            "seed",
            "policy",
            "ahead",
        )
        return Options(
            url=url,
            api_key=key,
            habits=Habits(given["false_accept"], given["false_correct"], given["lenient"]),
            patience=patience,
            **{name: given[name] for name in copied},
        )


_AHEAD_HELP = f"send only while fewer tasks wait, so that decisions can change routes; default {KEEP_AHEAD}, 0: no limit"


def _policy(text: str) -> dict[str, Any]:
    try:
        source = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        policy = json.loads(source)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"not readable as JSON: {error}") from error
    if not isinstance(policy, dict):
        raise argparse.ArgumentTypeError("a policy is a JSON object")
    return policy


def _rate(text: str) -> float:
    """`20` and `20/s` both mean twenty rows a second."""
    return _number(text.removesuffix("/s"), above=0.0)


def _share(text: str) -> float:
    value = _number(text)
    if value > 1:
        raise argparse.ArgumentTypeError("must be a number from 0 to 1")
    return value


def _seconds(text: str) -> float:
    return _number(text)


def _positive(text: str) -> int:
    return int(_number(text, above=0.0, whole=True))


def _count(text: str) -> int:
    return int(_number(text, whole=True))


def _number(text: str, *, above: float | None = None, whole: bool = False) -> float:
    try:
        value = float(int(text) if whole else float(text))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or (above is not None and value <= above):
        kind = "a whole number" if whole else "a number"
        raise argparse.ArgumentTypeError(f"must be {kind} {'above' if above is not None else 'from'} 0")
    return value
