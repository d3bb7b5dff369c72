"""`manage.py demo`: fills the demo project through the public API and keeps its queue alive."""

import importlib.util
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.replay.client import Patience, ReplayError
from labeling.replay.credentials import NoCredentialsError, read_credentials
from labeling.replay.demo.show import Show

PATIENCE_SECONDS = 600.0


class Command(BaseCommand):
    help = "Fill the demo project and stream predictions to it until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--recreate",
            "--reset",
            action="store_true",
            help="begin a new demo project beside the old one, and return",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        recreate: bool = options["recreate"]
        if not settings.ENV.demo and not recreate:
            self.stdout.write("REVIEWAPP_DEMO is 0: no demo.")
            return
        if importlib.util.find_spec("sklearn") is None:
            self.stdout.write("The demo's packages are not installed (`make demo` installs them): no demo.")
            return
        try:
            self._show(recreate=recreate)
        except (ReplayError, NoCredentialsError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stdout.write("The demo's stream was stopped.")

    def _show(self, *, recreate: bool) -> None:
        from labeling.replay.demo.digits import (
            Digits,  # the demo's packages are loaded only when there is a demo
        )

        kept = read_credentials(Path(settings.REVIEWAPP_CREDENTIALS))
        with Show(Digits(), kept.url, kept.api_key, Patience(PATIENCE_SECONDS), self._report) as show:
            while True:
                show.open(anew=recreate)
                history = show.replay_history()
                show.fill_queue()
                told = (
                    f" (history: {history['created']} predictions, {history['decisions']})" if history else ""
                )
                self.stdout.write(f"The demo is at {kept.url}/projects/{show.slug}/{told}")
                self.stdout.flush()
                if recreate:
                    return  # the stream of the running instance moves on to the new project by itself
                show.stream()

    def _report(self, line: str) -> None:
        self.stderr.write(line)
