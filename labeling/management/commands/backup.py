"""`manage.py backup PATH`: database and dataset files of one moment, while everything goes on."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from labeling.backup.making import make_backup
from labeling.errors import LabelingError


class Command(BaseCommand):
    help = "Back the database and the dataset files up to one moment, into a new folder. Traffic may go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="a folder that does not exist yet")

    def handle(self, *_: Any, **options: Any) -> None:
        path = options["path"].absolute()
        try:
            backup = make_backup(path)
        except LabelingError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{path} could not be written: {error.strerror}.") from error
        except OperationalError as error:
            raise CommandError(f"The database did not answer: {str(error).splitlines()[0]}") from error
        size = backup.dump.size + sum(file.size for file in backup.files)
        self.stdout.write(
            f"Backed up as of {backup.made_at}: the database and {len(backup.files)} dataset files, "
            f"{size / 1e6:.1f} MB, in {path}"
        )
