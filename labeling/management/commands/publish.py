"""`manage.py publish SLUG`: publish what waits for a project's dataset, now and in this process."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.datasets.models import Dataset, Publication, PublicationState
from labeling.datasets.queries import MAIN, get_dataset, get_waiting
from labeling.datasets.services import publish, request_publication, retry_stuck
from labeling.errors import LabelingError, NotFoundError
from labeling.projects.models import Project


class Command(BaseCommand):
    help = "Publish what waits for a project's dataset as its next version."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="the project")
        parser.add_argument("--dataset", default=MAIN)
        parser.add_argument("--note", default="", help="what the version is for")
        parser.add_argument("--tag", default="", help="a name to put on the version")
        parser.add_argument(
            "--retry-stuck", action="store_true", help="try decisions again that failed in every publication"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        dataset = dataset_of(options["slug"], options["dataset"])
        try:
            if options["retry_stuck"]:
                self.stdout.write(f"{retry_stuck(dataset=dataset, by=None)} decisions will be tried again.")
            wanted = request_publication(dataset=dataset, by=None, note=options["note"], tag=options["tag"])
            if wanted is None:
                dataset.refresh_from_db()
                self.stdout.write(f"Nothing waits; the current version is {dataset.head or 'none yet'}.")
            while wanted is not None and (publication := publish(dataset.pk)) is not None:
                self._tell(publication)
        except LabelingError as error:
            raise CommandError(str(error)) from error
        waiting = get_waiting(dataset)
        if waiting.publication is not None:
            self.stdout.write("Another process is publishing this dataset; it goes on without this command.")
        if waiting.stuck:
            raise CommandError(f"{waiting.stuck} decisions failed in every publication; see --retry-stuck.")

    def _tell(self, publication: Publication) -> None:
        count = publication.decision_count
        if publication.state == PublicationState.DONE:
            self.stdout.write(f"Published {count} decisions as v{publication.published_as}.")
        elif publication.state == PublicationState.EMPTY:
            self.stdout.write(f"{count} decisions changed nothing; there is no new version.")
        else:
            self.stderr.write(f"A publication of {count} decisions failed: {publication.error}")


def dataset_of(project_slug: str, dataset_slug: str) -> Dataset:
    """The dataset that a command names."""
    project = Project.objects.filter(slug=project_slug).first()
    if project is None:
        raise CommandError(f"There is no project {project_slug!r}.")
    try:
        return get_dataset(project, dataset_slug)
    except NotFoundError as error:
        raise CommandError(f"The project {project_slug!r} has no dataset {dataset_slug!r}.") from error
