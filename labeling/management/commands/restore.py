"""`manage.py restore PATH [--check] [--replace]`: an instance as it was when the backup was made."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from labeling.backup.restoring import open_backup, require_empty, restore_backup
from labeling.errors import LabelingError
from reviewapp.env import SettingError
from reviewapp.stack.maintenance import alone_with_database


class Command(BaseCommand):
    help = (
        "Put a backup in the place of what this instance has. Works on a running and on a stopped instance."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="the backup's folder")
        parser.add_argument(
            "--check", action="store_true", help="only read all of the backup; change nothing"
        )
        parser.add_argument(
            "--replace", action="store_true", help="also where the instance has projects already"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            archive, backup = open_backup(options["path"].absolute())
            if options["check"]:
                self.stdout.write(
                    f"The backup of {backup.made_at} is whole: {len(backup.files)} dataset files."
                )
                return
            with alone_with_database(settings.HOME, settings.ENV):
                if not options["replace"]:
                    require_empty()
                notes = restore_backup(archive, backup)
                if settings.ENV.database_url is None:
                    call_command("bootstrap", stdout=self.stdout)
        except (LabelingError, SettingError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"The backup could not be put in place: {error.strerror}.") from error
        except OperationalError as error:
            raise CommandError(f"The database did not answer: {str(error).splitlines()[0]}") from error
        for note in notes:
            self.stdout.write(note)
        feeds = ", ".join(f"{slug} {last}" for slug, last in backup.feeds.items())
        self.stdout.write(
            f"The outcome feeds end at: {feeds or 'nothing yet'}. Readers with a higher cursor start there."
        )
        self.stdout.write(f"Restored as of {backup.made_at}; `manage.py verify_ledger` counts everything.")
