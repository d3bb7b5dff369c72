"""`manage.py demo`: fills the demo's projects through the public API and keeps their queues alive."""

import importlib.util
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.replay.client import Patience, ReplayError
from labeling.replay.credentials import NoCredentialsError, read_credentials
from labeling.replay.demo.exhibits import EXHIBITS
from labeling.replay.demo.fair import Fair, only_filler

PATIENCE_SECONDS = 600.0
_PACKAGES = ("faker", "PIL", "sklearn")


class Command(BaseCommand):
    requires_system_checks: list[str] = []  # they load every page
    help = "Fill the demo's projects and stream predictions to them until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--recreate",
            "--reset",
            action="store_true",
            help="begin new demo projects beside the old ones, and return when they are filled",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        recreate: bool = options["recreate"]
        if not settings.ENV.demo and not recreate:
            self.stdout.write("REVIEWAPP_DEMO is 0: no demo.")
            return
        if not all(importlib.util.find_spec(package) for package in _PACKAGES):
            self.stdout.write("The demo's packages are not installed (`make demo` installs them): no demo.")
            return
        try:
            self._show(recreate=recreate)
        except (ReplayError, NoCredentialsError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stdout.write("The demo's stream was stopped.")

    def _show(self, *, recreate: bool) -> None:
        kept = read_credentials(Path(settings.REVIEWAPP_CREDENTIALS))
        folder = Path(settings.REVIEWAPP_HOME) / "demo"
        patience = Patience(PATIENCE_SECONDS)
        with (
            only_filler(folder) as alone,
            Fair(EXHIBITS, kept.url, kept.api_key, patience, self._report, folder) as fair,
        ):
            if not alone and not recreate:
                raise CommandError("Another process fills the demo of this instance.")
            fair.open(anew=recreate)
            if not alone:
                self._report("The running instance fills the new demo projects, one after the other.")
                return
            fair.fill()
            self._report("All projects of the demo are ready.")
            if not recreate:
                fair.stream()

    def _report(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
