"""Readable copies beside the segments, for people without the API. Never read by the product, except to notice that a
database older than its storage was restored.

Then there may be manifests of versions that this database does not know, or that it has published anew since. These stay: a
manifest that would be replaced by one of another version with the same number first gets the name `<number>.<digest>.json`,
and the file it names is kept for ever.
"""

import hashlib
import json
import re
from datetime import datetime
from typing import Any

from labeling.datasets.manifest import timestamp_text
from labeling.datasets.models import Dataset, DatasetSegment, DatasetTag, DatasetVersion
from labeling.datasets.storage import Storage

_WHICH = ("digest", "created_at")
_VERSION_FILE = re.compile(r"([0-9]+)\.json")
_ASIDE_FILE = re.compile(r"[0-9]+\.[0-9a-f]{16}\.json")


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
    path = f"{dataset.folder}/versions/{version.number:08}.json"
    _set_aside(storage, path, {name: content[name] for name in _WHICH})
    storage.write(path, _readable(content))


def _set_aside(storage: Storage, path: str, version: dict[str, Any]) -> None:
    """Keep what stands under this name if it is of another version: of a future that a restored database does not have. It may
    hold the same rows, those that waited when the backup was made, and was published at another time even so."""
    known = storage.read(path)
    if known is None:
        return
    other = _manifest(known)
    if {name: other.get(name) for name in _WHICH} != version:
        digest = other.get("digest") or hashlib.sha256(known).hexdigest()
        storage.write(f"{path.removesuffix('.json')}.{digest[:16]}.json", known)


def write_tags_manifest(storage: Storage, dataset: Dataset) -> None:
    """`tags.json`: which tag stands on which version."""
    tags = DatasetTag.objects.filter(dataset=dataset).order_by("name")
    content = {tag.name: {"version": tag.version, "protected": tag.protected} for tag in tags}
    storage.write(f"{dataset.folder}/tags.json", _readable(content))


def list_manifest_numbers(storage: Storage, dataset: Dataset) -> set[int]:
    """The versions that have a readable manifest."""
    return set(list_manifests(storage, dataset))


def list_manifests(storage: Storage, dataset: Dataset) -> dict[int, datetime]:
    """The versions that have a readable manifest, and when it was written."""
    files = storage.list_files(f"{dataset.folder}/versions")
    found = ((_VERSION_FILE.fullmatch(file.path.rpartition("/")[2]), file.modified_at) for file in files)
    return {int(match[1]): written_at for match, written_at in found if match}


def list_files_set_aside(storage: Storage, dataset: Dataset) -> set[str]:
    """The segments of versions that another database has published here under numbers that are taken now."""
    files = storage.list_files(f"{dataset.folder}/versions")
    aside = (file.path for file in files if _ASIDE_FILE.fullmatch(file.path.rpartition("/")[2]))
    segments = (_manifest(storage.read(path) or b"").get("segment") or {} for path in aside)
    return {f"{dataset.folder}/{segment['path']}" for segment in segments if "path" in segment}


def _manifest(content: bytes) -> dict[str, Any]:
    """What a manifest says; nothing when somebody has damaged it."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _readable(content: object) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
