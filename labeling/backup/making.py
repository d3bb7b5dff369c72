"""Makes a backup while the product runs: one snapshot of the database, and the files which that snapshot points at.

Dataset files never change and are deleted a week after nothing needs them any more, so copying those that the snapshot names,
however long that takes, gives the storage of that very moment.
"""

from dataclasses import replace
from pathlib import Path

from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from labeling.backup import programs
from labeling.backup.archive import Archive, Backup, KeptDataset, KeptFile, copy_and_hash, kept, new_archive
from labeling.datasets.models import Dataset, DatasetSegment, DatasetVersion
from labeling.datasets.storage import Storage, open_storage
from labeling.decisions.models import FeedHead
from labeling.errors import ConflictError, say
from labeling.projects.models import Project


def make_backup(path: Path) -> Backup:
    """A backup in a new folder."""
    with new_archive(path) as archive, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute("set local idle_in_transaction_session_timeout = 0")
        cursor.execute("select pg_export_snapshot(), now(), current_setting('server_version')")
        snapshot, made_at, server = cursor.fetchone()
        programs.dump(archive.dump, snapshot=snapshot)
        backup = Backup(
            made_at=made_at.isoformat(),
            server=server,
            migrations=_list_migrations(),
            dump=kept(archive.dump, archive.dump.name),
            files=_copy_files(archive, open_storage()),
            datasets=list_datasets(),
            feeds=_list_feeds(),
        )
        archive.write(backup)
    return backup


def list_datasets() -> list[KeptDataset]:
    """Where each dataset stands in the database as it is seen now."""
    found = []
    for dataset in Dataset.objects.select_related("project").order_by("id"):
        version = DatasetVersion.objects.filter(dataset=dataset, number=dataset.head).first()
        found.append(
            KeptDataset(dataset.project.slug, dataset.slug, dataset.head, version.digest if version else None)
        )
    return found


def _copy_files(archive: Archive, storage: Storage) -> list[KeptFile]:
    live = DatasetSegment.objects.filter(state=DatasetSegment.State.LIVE).order_by("path")
    return [
        _copy_file(archive, storage, path, sha256)
        for path, sha256 in live.values_list("path", "sha256").iterator()
    ]


def _copy_file(archive: Archive, storage: Storage, path: str, sha256: str) -> KeptFile:
    target = archive.file(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with storage.open(path) as source, target.open("xb") as file:
        copied = copy_and_hash(source, file)
    if copied.sha256 != sha256:
        raise ConflictError(
            "storage_damaged",
            say(
                "{path} in the storage is not what was published; see `manage.py verify_dataset`.", path=path
            ),
        )
    return replace(copied, path=path)


def _list_migrations() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        found.setdefault(app, []).append(name)
    return found


def _list_feeds() -> dict[str, int]:
    slugs = dict(Project.objects.values_list("id", "slug"))
    heads = FeedHead.objects.values_list("project_id", "last_number")
    return {slugs[project]: last for project, last in heads if project in slugs}
