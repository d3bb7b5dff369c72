"""Checking the body of a request with a serializer; names that do not belong are errors, not noise."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from labeling.errors import invalid, say


def checked(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The validated values of a request's object. Raises InvalidError or ValidationError naming the field."""
    return checked_value(serializer, request.data)


def checked_value(serializer: type[serializers.Serializer[Any]], value: Any) -> dict[str, Any]:
    """The same for a value that was decoded already."""
    if not isinstance(value, dict):
        raise invalid("", "wrong_type", say("the body must be an object"))
    checking = serializer(data=value)
    for name in value:
        if name not in checking.fields:
            raise invalid(f"/{name}", "unknown_field", say("{name!r} does not belong here", name=name))
    checking.is_valid(raise_exception=True)
    return dict(checking.validated_data)
