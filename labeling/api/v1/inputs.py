"""Checking the body of a request with a serializer; names that do not belong are errors, not noise."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from labeling.errors import invalid, say


def checked(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The validated values of a request's object. Raises InvalidError or ValidationError naming the field."""
    if not isinstance(request.data, dict):
        raise invalid("", "wrong_type", say("the body must be an object"))
    known = serializer().fields
    for name in request.data:
        if name not in known:
            raise invalid(f"/{name}", "unknown_field", say("{name!r} does not belong here", name=name))
    checking = serializer(data=request.data)
    checking.is_valid(raise_exception=True)
    return dict(checking.validated_data)
