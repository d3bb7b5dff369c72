"""`manage.py verify_ledger`: has anything been lost or doubled? Exit code 0 only when every check is clean."""

import argparse
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from labeling.ledger.checks import as_moment, check_ledger


class Command(BaseCommand):
    help = "Count whether every prediction, decision and label is there exactly once. Changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since", type=_moment, metavar="TIME", help="look only at what began after this time (ISO 8601)"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            broken = self._count_broken(options["since"])
        except OperationalError as error:
            raise CommandError(f"The database did not answer: {str(error).splitlines()[0]}") from error
        if broken:
            raise CommandError(f"{broken} of the ledger's promises are broken.")
        self.stdout.write("The ledger is whole.")

    def _count_broken(self, since: datetime | None) -> int:
        broken = 0
        for finding in check_ledger(since):
            broken += bool(finding.wrong)
            verdict = f"WRONG {finding.wrong:,} of" if finding.wrong else "ok"
            self.stdout.write(f"{finding.name:<13} {verdict} {finding.checked:,}  {finding.promise}")
            for example in finding.examples:
                self.stdout.write(f"{'':<13} - {example}")
        return broken


def _moment(text: str) -> datetime:
    try:
        return as_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("must be a time like 2026-01-31T12:00") from error
