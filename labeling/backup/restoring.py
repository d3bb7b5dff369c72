"""Puts a backup in the place of what an instance has. Files first, then the database in one transaction: whatever fails or is
killed on the way, the instance has either its old state or the restored one, and at most files more than it needs.

No file of the storage is ever removed or overwritten here, also not those of versions that the restored database does not know.
"""

from collections.abc import Iterator
from pathlib import Path

from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from labeling.backup import programs
from labeling.backup.archive import Archive, Backup, copy_and_hash
from labeling.backup.making import list_datasets
from labeling.datasets.manifests import list_manifest_numbers
from labeling.datasets.models import Dataset
from labeling.datasets.storage import Storage, open_storage
from labeling.datasets.upkeep import restore_manifests
from labeling.errors import ConflictError, quote, say
from labeling.ingestion.models import Item
from labeling.ingestion.partitions import ensure_partitions
from labeling.projects.models import Project


def open_backup(path: Path) -> tuple[Archive, Backup]:
    """A backup, after every byte of it has been looked at; ConflictError when something is not as it was."""
    archive = Archive(path)
    backup = archive.read()
    damage = list(archive.list_damage(backup))
    if damage:
        more = len(damage) - 1
        detail = say("{damage} ({more} more files are damaged)", damage=damage[0], more=more)
        raise ConflictError("backup_damaged", detail if more else quote(damage[0]))
    programs.read_through(archive.dump)
    refuse_newer(backup)
    return archive, backup


def require_empty() -> None:
    """ConflictError when the instance has projects or items: a restore would take them away."""
    try:
        projects, has_items = Project.objects.count(), Item.objects.exists()
    except DatabaseError:  # no tables yet
        return
    if projects or has_items:
        raise ConflictError(
            "not_empty",
            say(
                "This instance has {projects} projects; --replace puts the backup in their place.",
                projects=projects,
            ),
        )


def restore_backup(archive: Archive, backup: Backup) -> list[str]:
    """Everything, in order; sentences about what a person should know afterwards."""
    storage = open_storage()
    for file in backup.files:
        _put_file(archive, storage, file.path, file.sha256)
    connection.close()
    programs.load(archive.dump)
    call_command("migrate", interactive=False, verbosity=0)
    ensure_partitions()
    if list_datasets() != backup.datasets:
        raise ConflictError("restore_differs", say("The restored datasets are not those of the backup."))
    return list(_after_care(storage))


def _put_file(archive: Archive, storage: Storage, path: str, sha256: str) -> None:
    if storage.read(path) is not None and storage.sha256(path) == sha256:
        return
    with archive.file(path).open("rb") as source, storage.draft(path.rpartition("/")[0]) as draft:
        copy_and_hash(source, draft)
        storage.keep(draft, path)


def _after_care(storage: Storage) -> Iterator[str]:
    """The readable manifests; and what the storage has that the database does not know."""
    for dataset in Dataset.objects.filter(head__gt=0).select_related("project").order_by("id"):
        restore_manifests(storage, dataset)
    for dataset in Dataset.objects.select_related("project").order_by("id"):
        newest = max(list_manifest_numbers(storage, dataset), default=0)
        if newest > dataset.head:
            yield (
                f"The storage has versions {dataset.head + 1} to {newest} of {dataset.project.slug}/{dataset.slug}, "
                "which the restored database does not know. Their files are kept."
            )


def refuse_newer(backup: Backup) -> None:
    """ConflictError when the backup has migrations that this version of the product does not know."""
    known = MigrationLoader(None, ignore_no_migrations=True).disk_migrations or {}
    unknown = [
        f"{app}.{name}"
        for app, names in backup.migrations.items()
        for name in names
        if (app, name) not in known
    ]
    if unknown:
        raise ConflictError(
            "backup_newer",
            say(
                "The backup is of a newer version of the product, which has the migration {unknown}.",
                unknown=unknown[-1],
            ),
        )
