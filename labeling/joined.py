"""Rows of statements that join several tables, as models."""

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

    def read(self, row: Sequence[Any], start: int) -> M | None:
        """The model whose columns begin at `start`, or none where an outer join found none. Unnamed columns are deferred."""
        values = row[start : start + len(self.names)]
        if values[self._key] is None:
            return None
        # What `from_db` makes, without its signals and a descriptor for each column: a decision and the next task read ten of them.
        found = self._model.__new__(self._model)
        found._state = ModelState()
        found._state.adding, found._state.db = False, DEFAULT_DB_ALIAS
        found.__dict__.update(zip(self.names, values, strict=True))
        return found


def read_parts(row: Sequence[Any], parts: Sequence[Columns[Any]]) -> tuple[list[Any], Sequence[Any]]:
    """The models that a row begins with, and what is left of it."""
    found, at = [], 0
    for columns in parts:
        found.append(columns.read(row, at))
        at += len(columns.names)
    return found, row[at:]
