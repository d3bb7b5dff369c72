"""The tree of domain errors. Stages raise them; `labeling.api.problems` and `labeling.web` turn them into HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one place of the input; `pointer` is an RFC 6901 JSON pointer."""

    pointer: str
    code: str
    detail: str


@dataclass
class LabelingError(Exception):
    """Something the caller can understand: a stable code, one sentence, and where it applies."""

    code: str
    detail: str
    errors: Sequence[FieldError] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.detail


class InvalidError(LabelingError):
    """The input cannot be accepted as it is (HTTP 422)."""


class NotAllowedError(LabelingError):
    """The caller is known, sees the thing, and may not do this (HTTP 403)."""


class NotFoundError(LabelingError):
    """There is no such thing, or the caller may not see it (HTTP 404)."""


class ConflictError(LabelingError):
    """The state of things has moved on, or another request was first (HTTP 409)."""


class BusyError(LabelingError):
    """Too much at once for now; trying again later will work (HTTP 429)."""


class UnavailableError(LabelingError):
    """Something the product needs (database, storage) cannot be reached or refuses; nothing is lost (HTTP 503)."""


def invalid(pointer: str, code: str, detail: str) -> InvalidError:
    """An InvalidError about exactly one field."""
    return InvalidError("invalid", detail, [FieldError(pointer, code, detail)])
