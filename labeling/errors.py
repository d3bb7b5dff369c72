"""The tree of domain errors. Stages raise them; `labeling.api.problems` and `labeling.web` turn them into HTTP.

What an error says is a `Sentence`: English as it stands, for API answers, logs and commands, and made of parts that a page
can put into the reader's language (`labeling.web.wording`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Sentence(str):
    """An English sentence that remembers its template and the values in it. Made by `say` and `quote`."""

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, values: Mapping[str, object]) -> "Sentence":
        sentence = super().__new__(cls, template.format(**values))
        sentence.template, sentence.values = template, values
        return sentence

    def __reduce__(self) -> tuple[type["Sentence"], tuple[str, Mapping[str, object]]]:
        return Sentence, (self.template, self.values)


def say(template: str, /, **values: object) -> Sentence:
    """A sentence with named places, as in `say("there is no label {name!r}", name=name)`.

    The template is a literal, because `manage.py makemessages` collects it. A value may be a sentence itself.
    """
    return Sentence(template, values)


def quote(text: str) -> Sentence:
    """What somebody else says (Django, PostgreSQL, the operating system), passed on as it is."""
    return Sentence("{text}", {"text": text})


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one place of the input; `pointer` is an RFC 6901 JSON pointer."""

    pointer: str
    code: str
    detail: Sentence


@dataclass
class LabelingError(Exception):
    """Something the caller can understand: a stable code, one sentence, and where it applies."""

    code: str
    detail: Sentence
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


def invalid(pointer: str, code: str, detail: Sentence) -> InvalidError:
    """An InvalidError about exactly one field."""
    return InvalidError("invalid", detail, [FieldError(pointer, code, detail)])
