"""Names for versions. Every move is an event; a protected tag never moves and never goes."""

import re

from django.db import transaction

from labeling.datasets.models import Dataset, DatasetTag, DatasetTagEvent, DatasetVersion
from labeling.errors import ConflictError, NotFoundError, invalid, say
from labeling.history.actor import Actor
from labeling.history.services import record_event

LATEST = "latest"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NUMBER = re.compile(r"v?[0-9]+")


def check_tag_name(name: str) -> None:
    """Refuse what cannot be told from a version's number, or is no name at all."""
    if not _NAME.fullmatch(name):
        raise invalid(
            "/tag", "malformed", say("a tag is 1-64 of a-z 0-9 . _ - and starts with a letter or digit")
        )
    if name == LATEST or _NUMBER.fullmatch(name):
        raise invalid(
            "/tag", "reserved", say("{name!r} is reserved: it stands for a version by itself", name=name)
        )


@transaction.atomic
def set_tag(
    *, dataset: Dataset, number: int, name: str, by: Actor | None, protected: bool | None = None
) -> DatasetTag:
    """Put a tag on a version, moving it there if it stands elsewhere. `protected` None leaves that as it is."""
    check_tag_name(name)
    # 1. The dataset's lock puts two moves of one tag, and a move and a removal, one after the other.
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    if not DatasetVersion.objects.filter(dataset=dataset, number=number).exists():
        raise NotFoundError("not_found", say("There is no such version."))
    tag = DatasetTag.objects.filter(dataset=dataset, name=name).first()
    require_movable(tag, number)
    # 2. Write, and say where it stood.
    tag = _write_tag(dataset, tag, name, number, by.user_id if by else None)
    if protected is not None and tag.protected != protected:
        tag.protected = protected
        tag.save(update_fields=["protected"])
    record_event(
        action="dataset.tagged",
        subject=f"dataset:{dataset.pk}",
        by=by,
        project_id=dataset.project_id,
        tag=name,
        version=number,
        protected=tag.protected,
    )
    return tag


@transaction.atomic
def remove_tag(*, dataset: Dataset, number: int, name: str, by: Actor | None) -> None:
    """Take a tag away from the version it stands on. The version stays."""
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    tag = (
        DatasetTag.objects.filter(dataset=dataset, version=number, name=name).first()
        if "\x00" not in name
        else None
    )
    if tag is None:
        raise NotFoundError("not_found", say("There is no such tag on this version."))
    if tag.protected:
        raise ConflictError("tag_protected", say("The tag {name!r} is protected.", name=name))
    DatasetTagEvent.objects.create(
        dataset=dataset, name=name, from_version=tag.version, by_id=by.user_id if by else None
    )
    tag.delete()
    record_event(
        action="dataset.untagged",
        subject=f"dataset:{dataset.pk}",
        by=by,
        project_id=dataset.project_id,
        tag=name,
        version=tag.version,
    )


def require_movable(tag: DatasetTag | None, number: int | None) -> None:
    """Refuse to move a protected tag. `number` None is a version still to come."""
    if tag is not None and tag.protected and tag.version != number:
        raise ConflictError(
            "tag_protected",
            say("The tag {name!r} is protected and stays on v{version}.", name=tag.name, version=tag.version),
        )


def move_tag_unless_protected(dataset: Dataset, name: str, number: int, *, by_id: int | None) -> bool:
    """Put a tag on the version being committed; whether it went there. Protection may have come after the tag was asked
    for, which must not undo the version. The caller holds the dataset's lock."""
    tag = DatasetTag.objects.filter(dataset=dataset, name=name).first()
    if tag is not None and tag.protected:
        return False
    _write_tag(dataset, tag, name, number, by_id)
    return True


def _write_tag(
    dataset: Dataset, tag: DatasetTag | None, name: str, number: int, by_id: int | None
) -> DatasetTag:
    before = tag.version if tag else None
    if tag is None:
        tag = DatasetTag.objects.create(dataset=dataset, name=name, version=number, created_by_id=by_id)
    elif before != number:
        tag.version = number
        tag.save(update_fields=["version"])
    if before != number:
        DatasetTagEvent.objects.create(
            dataset=dataset, name=name, from_version=before, to_version=number, by_id=by_id
        )
    return tag
