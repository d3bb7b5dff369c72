"""Serializer fields that refuse what PostgreSQL and JSON readers cannot keep."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from labeling.ingestion.decoding import find_problems


class PlainText(serializers.CharField):
    """A text as sent (not trimmed), without U+0000 or halves of surrogate pairs. Numbers are not texts."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("must be a text", code="wrong_type")
        _refuse_problems(data)
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.ANY)
class JsonField(serializers.JSONField):
    """Any JSON value within the limits of the contract (depth, sizes, numbers, U+0000)."""

    def to_internal_value(self, data: Any) -> Any:
        _refuse_problems(data)
        return data

    def to_representation(self, value: Any) -> Any:
        return value


def _refuse_problems(data: Any) -> None:
    problems = find_problems(data)
    if problems:
        first = problems[0]
        raise serializers.ValidationError(first.detail, code=first.code)
