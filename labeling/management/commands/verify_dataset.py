"""`manage.py verify_dataset SLUG`: is every version still what was published? Exits 1 when it is not."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.datasets.queries import MAIN, get_version
from labeling.datasets.services import verify_version
from labeling.datasets.tags import LATEST
from labeling.errors import LabelingError
from labeling.management.commands.publish import dataset_of


class Command(BaseCommand):
    help = "Check the files of a dataset and the chain of digests over its rows, up to a version."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="the project")
        parser.add_argument("--dataset", default=MAIN)
        parser.add_argument("--at", default=LATEST, metavar="VERSION", help="number, tag or latest (default)")
        parser.add_argument(
            "--quick", action="store_true", help="trust the row digests stored in intact files"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        dataset = dataset_of(options["slug"], options["dataset"])
        if not dataset.head:
            self.stdout.write("There is no version yet.")
            return
        try:
            number = get_version(dataset, options["at"]).number
            found = verify_version(dataset=dataset, number=number, full=not options["quick"])
        except LabelingError as error:
            raise CommandError(str(error)) from error
        for problem in found.problems:
            self.stderr.write(problem)
        if not found.is_intact:
            raise CommandError(f"v{number} is not what was published ({len(found.problems)} problems).")
        self.stdout.write(
            f"v{number} verified: {found.files} files, {found.rows} rows, digest {found.digest}."
        )
