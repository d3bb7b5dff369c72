"""Rows of statements that join several tables, as models; and models for statements that write them.

Both are made without the signals and the look at each field that Django's own way takes: a decision makes a dozen of them.
"""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS, models
from django.db.models.base import ModelState

M = TypeVar("M", bound=models.Model)


class Columns(Generic[M]):
    """The columns of one model in a statement that joins several."""

    def __init__(self, model: type[M], alias: str, names: Sequence[str] = ()) -> None:
        fields = [f for f in model._meta.concrete_fields if not names or f.attname in names]
        self.names = [field.attname for field in fields]
        self.sql = ", ".join(f"{alias}.{field.column}" for field in fields)
        self._model = model
        self._key = self.names.index(cast(Any, model._meta.pk).attname)
        self._defaults = {field.attname: field.get_default() for field in fields}

    def read(self, row: Sequence[Any], start: int) -> M | None:
        """The model whose columns begin at `start`, or none where an outer join found none. Unnamed columns are deferred."""
        values = row[start : start + len(self.names)]
        if values[self._key] is None:
            return None
        return self._make(zip(self.names, values, strict=True), is_new=False)

    def new(self, **values: Any) -> M:
        """A model that is not in the database yet; its default where no value is given."""
        return self._make({**self._defaults, **values}, is_new=True)

    def _make(self, values: Any, *, is_new: bool) -> M:
        made = self._model.__new__(self._model)
        made._state = ModelState()
        made._state.adding, made._state.db = is_new, None if is_new else DEFAULT_DB_ALIAS
        made.__dict__.update(values)
        return made


def read_parts(row: Sequence[Any], parts: Sequence[Columns[Any]]) -> tuple[list[Any], Sequence[Any]]:
    """The models that a row begins with, and what is left of it."""
    found, at = [], 0
    for columns in parts:
        found.append(columns.read(row, at))
        at += len(columns.names)
    return found, row[at:]
