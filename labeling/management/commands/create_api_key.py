"""`manage.py create_api_key`: a key for the API, printed this once."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from labeling.errors import LabelingError
from labeling.history.actor import Actor
from labeling.projects.models import Project, Scope
from labeling.projects.services import MOST_PER_SECOND, create_api_key


class Command(BaseCommand):
    help = "Make an API key for a person and print it. It is stored as a hash only and cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="whom the key acts as")
        parser.add_argument("--name", default="made on the command line", help="what the key is for")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            dest="scopes",
            help="may be given more than once",
        )
        parser.add_argument("--requests-per-second", type=int, metavar="N", help="a limit; none by default")
        parser.add_argument("--rows-per-second", type=int, metavar="N", help="a limit of predictions")
        parser.add_argument("--project", metavar="SLUG", help="the only project the key may be used in")

    def handle(self, *_: Any, **options: Any) -> None:
        user = get_user_model().objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {options['username']!r}.")
        project = Project.objects.filter(slug=options["project"]).first() if options["project"] else None
        if options["project"] and project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        if not options["scopes"]:
            raise CommandError(f"Give the key at least one --scope ({', '.join(Scope.values)}).")
        for limit in ("requests_per_second", "rows_per_second"):
            if options[limit] is not None and not 1 <= options[limit] <= MOST_PER_SECOND:
                raise CommandError(f"A limit is a whole number from 1 to {MOST_PER_SECOND}.")
        by = Actor(user_id=user.pk, username=user.get_username(), is_admin=user.is_superuser)
        try:
            _key, plain = create_api_key(
                name=options["name"],
                scopes=options["scopes"],
                project=project,
                member=user,
                by=by,
                requests_per_second=options["requests_per_second"],
                rows_per_second=options["rows_per_second"],
            )
        except LabelingError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(plain)
