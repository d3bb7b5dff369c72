"""What the OpenAPI schema says of every operation alike: any of them may answer with a problem (RFC 9457)."""

from typing import Any

from labeling.api.problems import CONTENT_TYPE

_FIELD_ERROR = {
    "type": "object",
    "properties": {
        "pointer": {
            "type": "string",
            "description": "JSON pointer into the body, or the name of a parameter",
        },
        "code": {"type": "string", "description": "Stable"},
        "detail": {"type": "string"},
    },
    "required": ["pointer", "code", "detail"],
}
_PROBLEM = {
    "type": "object",
    "description": "Some codes bring more members, claim_lost for example who holds the task or what was decided.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable"},
        "detail": {"type": "string", "description": "One sentence"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
    },
    "required": ["type", "title", "status", "code", "detail", "errors"],
}
_ANSWER = {
    "description": "Anything but success: 400 malformed, 401 no good key, 403 may not, 404 not there or not to be seen, "
    "405, 406, 409 the state has moved on, 413 too large, 415, 422 invalid, 429 and 503 with Retry-After",
    "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def add_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular."""
    result["components"]["schemas"] |= {"FieldError": _FIELD_ERROR, "Problem": _PROBLEM}
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = _ANSWER
    return result
