"""A column for JSON that people or models wrote: kept as they wrote it."""

from typing import Any

from django.db import models
from psycopg.types.json import Json


class JsonText(models.JSONField):
    """PostgreSQL `json`: kept as it was sent (order of keys, spelling of numbers), checked but not indexed."""

    def db_type(self, connection: Any) -> str:
        return "json"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """psycopg decodes `json` itself; only for `jsonb` does Django tell it not to."""
        return value

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Sent as `json`: through `jsonb`, Django's own way, the order of keys would be lost."""
        return None if value is None else Json(value)
