"""Readable copies beside the segments, for people without the API. Never read by the product, except to notice that a
database older than its storage was restored."""

import json
import re

from labeling.datasets.manifest import timestamp_text
from labeling.datasets.models import Dataset, DatasetSegment, DatasetTag, DatasetVersion
from labeling.datasets.storage import Storage

_VERSION_FILE = re.compile(r"([0-9]+)\.json")


def write_version_manifest(storage: Storage, dataset: Dataset, version: DatasetVersion) -> None:
    """`versions/<number>.json`: what the version is, and in which file its changes are."""
    segment = DatasetSegment.objects.filter(
        dataset=dataset, state=DatasetSegment.State.LIVE, lo__lte=version.number, hi__gte=version.number
    ).get()
    content = {
        "number": version.number,
        "parent": version.parent,
        "digest": version.digest,
        "created_at": timestamp_text(version.created_at),
        "note": version.note,
        "added": version.added,
        "changed": version.changed,
        "removed": version.removed,
        "rows_live": version.rows_live,
        "splits": version.split_counts,
        "segment": {
            "path": segment.path.removeprefix(f"{dataset.folder}/"),
            "sha256": segment.sha256,
            "bytes": segment.size_bytes,
            "rows": segment.row_count,
        },
    }
    storage.write(f"{dataset.folder}/versions/{version.number:08}.json", _readable(content))


def write_tags_manifest(storage: Storage, dataset: Dataset) -> None:
    """`tags.json`: which tag stands on which version."""
    tags = DatasetTag.objects.filter(dataset=dataset).order_by("name")
    content = {tag.name: {"version": tag.version, "protected": tag.protected} for tag in tags}
    storage.write(f"{dataset.folder}/tags.json", _readable(content))


def list_manifest_numbers(storage: Storage, dataset: Dataset) -> set[int]:
    """The versions that have a readable manifest."""
    files = storage.list_files(f"{dataset.folder}/versions")
    found = (_VERSION_FILE.fullmatch(file.path.rpartition("/")[2]) for file in files)
    return {int(match[1]) for match in found if match}


def _readable(content: object) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
