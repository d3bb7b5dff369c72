"""`manage.py rebuild_rates SLUG`: count a project's rates again from its predictions and decisions."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.projects.models import Project
from labeling.trust.services import rebuild_rollups


class Command(BaseCommand):
    help = (
        "Replace the counts behind a project's rates by a recount, e.g. of answers from before a release that counts more. "
        "Skips leave no row and begin at zero."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="the project")

    def handle(self, *_: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["slug"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['slug']!r}.")
        rebuild_rollups(project)
        self.stdout.write(f"The rates of {project.slug} are counted again.")
