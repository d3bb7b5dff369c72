"""Predictions come in; their routes and outcomes go out (contract section 4).

Predictions bypass DRF's parsers and renderers: the body is decoded by msgspec and the answer encoded by it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    PolymorphicProxySerializer,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.api.authentication import actor_of
from labeling.api.bodies import NDJSON_TYPE, BodyError, read_body
from labeling.api.doors import Doorway
from labeling.api.pages import link, page_size, read_cursor
from labeling.api.problems import field_errors, problem_of, problem_response
from labeling.api.v1.fields import JsonField
from labeling.decisions.outcomes import read_outcomes
from labeling.errors import BusyError, ConflictError, InvalidError, invalid, say
from labeling.ingestion.decoding import (
    BadRow,
    Row,
    decode_array,
    decode_lines,
    decode_one,
    starts_as_array,
)
from labeling.ingestion.room import require_room
from labeling.pipeline.accepting import accept_one, accept_predictions
from labeling.pipeline.items import get_item_story
from labeling.pipeline.placing import Accepted
from labeling.pipeline.search import FILTERS, list_predictions
from labeling.projects.access import Permission, get_project
from labeling.projects.models import Scope

MOST_ROWS = 5_000
MOST_LINES = 50_000
MOST_OUTCOMES = 1_000
_REFUSED_RETRY_AFTER_S = 30
_REFUSED = say(
    "Too many reviews wait in this project, and this one needs a person. Nothing was stored: send it again later."
)
_CONFLICTS = {
    "prediction_conflict": say("This item already has another prediction of this model and version."),
    "item_conflict": say("An item with this id exists with another input."),
}


class RowIn(serializers.Serializer[Any]):
    id = serializers.CharField(max_length=200)
    input = serializers.DictField()
    prediction = serializers.DictField()
    confidence = serializers.FloatField(min_value=0, max_value=1)
    model = serializers.CharField(max_length=200)
    model_version = serializers.CharField(required=False, max_length=200)
    segment = serializers.CharField(required=False, allow_null=True, max_length=200)
    occurred_at = serializers.DateTimeField(required=False, allow_null=True)
    probabilities = serializers.DictField(
        required=False, allow_null=True, child=serializers.FloatField(min_value=0, max_value=1)
    )
    explanation = JsonField(required=False)
    latency_ms = serializers.FloatField(required=False, allow_null=True, min_value=0)
    cost = serializers.FloatField(required=False, allow_null=True, min_value=0)
    priority = serializers.IntegerField(required=False, min_value=-100, max_value=100)


class AnswerOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    prediction_id = serializers.IntegerField()
    route = serializers.ChoiceField(["auto", "review", "fallback", "settled"])
    status = serializers.ChoiceField(["final", "pending"])
    output = JsonField(allow_null=True)
    policy_version = serializers.IntegerField()
    created = serializers.BooleanField()


class FieldErrorOut(serializers.Serializer[Any]):
    pointer = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class BatchLine(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    id = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(["created", "duplicate", "conflict", "invalid", "refused"])
    prediction_id = serializers.IntegerField(required=False)
    route = serializers.CharField(required=False)
    output = JsonField(required=False, allow_null=True)
    errors = FieldErrorOut(many=True, required=False)  # type: ignore[assignment]


class BatchOut(serializers.Serializer[Any]):
    created = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    conflicts = serializers.IntegerField()
    invalid = serializers.IntegerField()
    refused = serializers.IntegerField(help_text="Not stored: too many reviews wait; send them again later")
    results = BatchLine(many=True)


class PredictionLine(serializers.Serializer[Any]):
    prediction_id = serializers.IntegerField()
    id = serializers.CharField(allow_null=True)
    route = serializers.CharField()
    reason = serializers.CharField()
    confidence = serializers.FloatField()
    prediction = JsonField()
    segment = serializers.CharField(allow_null=True)
    model = serializers.CharField()
    model_version = serializers.CharField()
    verdict = serializers.CharField(allow_null=True)
    received_at = serializers.DateTimeField()


class OutcomeLine(serializers.Serializer[Any]):
    cursor = serializers.IntegerField()
    id = serializers.CharField()
    output = JsonField(allow_null=True)
    origin = serializers.ChoiceField(["auto", "human", "fallback"])
    verdict = serializers.CharField(required=False)
    decided_at = serializers.DateTimeField()
    model = serializers.CharField()
    model_version = serializers.CharField()
    revision = serializers.IntegerField()


def _query(name: str, kind: Any = OpenApiTypes.STR, description: str = "") -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=description)


_FILTERS_SAY = {
    "verdict": "The one that stands",
    "label": "What the model says",
    "id": "The client's id of an item",
    "q": "A text in the item's id or its input, without case",
    "from": "First day of arrival, in the project's time zone",
    "to": "Last day of arrival",
}


class PredictionsView(APIView):
    """POST one object, an array, or NDJSON (with a key, `labeling.api.lane` takes it first); GET a list, newest first."""

    @extend_schema(
        operation_id="list_predictions",
        parameters=[_query(name, description=_FILTERS_SAY.get(name, "")) for name in FILTERS]
        + [_query("limit", OpenApiTypes.INT), _query("cursor")],
        responses=inline_serializer(
            "PredictionPage",
            {
                "results": PredictionLine(many=True),
                "next": serializers.URLField(allow_null=True),
                "previous": serializers.URLField(allow_null=True),
                "looked_at": serializers.IntegerField(),
                "looked_back_to": serializers.DateTimeField(allow_null=True),
            },
        ),
        description="Newest first. Only `route`, `id`, `from` and `to` have an index. With any other filter a page looks at a "
        "bounded number of predictions (`looked_at`, as far as `looked_back_to`), so it may be short or empty although more "
        "follow: look further with `next`. `q` passes over inputs of more than 4 MB.",
    )
    def get(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.READ_ITEMS)
        filters = {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)}
        backwards, at = read_cursor(request)
        if backwards or not isinstance(at, int | None):
            raise invalid("/cursor", "invalid", say("this is not a cursor that was given out"))
        page = list_predictions(
            project,
            filters=filters,
            before=at,
            limit=page_size(request),
            hides_escalations=not actor.may(Scope.MANAGE),
        )
        following = link(request, page.next_before) if page.next_before else None
        return Response(
            {
                "results": PredictionLine(page.rows, many=True).data,
                "next": following,
                "previous": None,
                "looked_at": page.looked_at,
                "looked_back_to": page.back_to,
            }
        )

    @extend_schema(
        operation_id="post_predictions",
        request={
            "application/json": PolymorphicProxySerializer(
                "Rows", [RowIn, RowIn(many=True)], resource_type_field_name=None, many=False
            ),
            NDJSON_TYPE: OpenApiTypes.STR,
        },
        responses={
            200: PolymorphicProxySerializer("Answers", [AnswerOut, BatchOut], resource_type_field_name=None),
            201: AnswerOut,
        },
        description="A single object is answered by 201, or 200 when it is known already. An array (at most 5,000 rows) or "
        "application/x-ndjson (at most 50,000 lines) is answered by 200 with one line for each row: valid ones are stored "
        "even when others are not. While the project refuses new reviews (its policy's `overflow`), what needs a person is not "
        "stored: 429 `overflow` with Retry-After, in a batch a line with the status `refused`. More than a key's limits allow is "
        "429 `rate_limited` with Retry-After for the whole request, and nothing of it is stored. While the disk is full nothing is "
        "stored: 503 `disk_full`; send it again later.",
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        return _answer(request._request, Doorway(slug, actor=actor_of(request)))


class PredictionView(APIView):
    @extend_schema(operation_id="get_prediction", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, slug: str, key: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.READ_ITEMS)
        return Response(get_item_story(project, key, hides_open_tasks=not actor.may(Scope.MANAGE)))


class OutcomesView(APIView):
    @extend_schema(
        operation_id="list_outcomes",
        parameters=[_query("after", OpenApiTypes.INT), _query("limit", OpenApiTypes.INT)],
        responses=inline_serializer(
            "OutcomePage",
            {
                "results": OutcomeLine(many=True),
                "next": serializers.URLField(allow_null=True),
                "cursor": serializers.IntegerField(),
            },
        ),
        description="Outcomes in order, numbered without gaps. Remember `cursor` and ask again with `after`.",
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        project = get_project(actor_of(request), slug, Permission.READ_ITEMS)
        after = _number(request, "after", default=0, least=0, most=2**62)
        limit = _number(request, "limit", default=100, least=1, most=MOST_OUTCOMES)
        entries = read_outcomes(project.pk, project.task_type, after=after, limit=limit)
        cursor = entries[-1].cursor if entries else after
        following = None
        if len(entries) == limit:
            following = request.build_absolute_uri(f"{request.path}?after={cursor}&limit={limit}")
        return _json({"results": entries, "cursor": cursor, "next": following, "previous": None}, 200)


def post_with_key(request: HttpRequest, plain: str, slug: str) -> HttpResponse:
    """Answer a POST that carries an API key: predictions, or a problem."""
    try:
        return _answer(request, Doorway(slug, plain_key=plain))
    except (
        Exception
    ) as error:  # the edge of the process: what can be told becomes a problem, the rest stays an error
        found = problem_of(error)
        if found is None:
            raise
        return problem_response(*found)


def _answer(request: HttpRequest, doorway: Doorway) -> HttpResponse:
    doorway.open()
    if doorway.allowance:
        doorway.allowance.take_request()
    require_room()
    kind, body = read_body(request)
    if kind == NDJSON_TYPE:
        return _answer_batch(doorway, list(decode_lines(body, most=MOST_LINES)))
    if starts_as_array(body):
        return _answer_batch(doorway, _checked_array(body))
    return _answer_single(doorway, decode_one(body))


def _take_rows(doorway: Doorway, count: int) -> None:
    if doorway.allowance:
        doorway.allowance.take_rows(count)


def _checked_array(body: bytes) -> Sequence[Row | BadRow]:
    rows = decode_array(body)
    if not rows:
        raise invalid("", "empty", say("the array is empty"))
    if len(rows) > MOST_ROWS:
        raise BodyError(413, "too_many_rows", f"an array has at most {MOST_ROWS} rows; NDJSON takes more")
    return rows


def _answer_single(doorway: Doorway, row: Row | BadRow) -> HttpResponse:
    _take_rows(doorway, 1)
    accepted = doorway.through(lambda door: accept_one(door=door, row=row))
    if accepted.status == "invalid":
        raise InvalidError("invalid", accepted.errors[0].detail, accepted.errors)
    if accepted.status == "conflict":
        raise ConflictError(accepted.code, _CONFLICTS[accepted.code])
    if accepted.status == "refused":
        raise BusyError(accepted.code, _REFUSED, extra={"retry_after": _REFUSED_RETRY_AFTER_S})
    created = accepted.status == "created"
    body = {
        "id": accepted.id,
        "prediction_id": accepted.prediction_id,
        "route": accepted.route,
        "status": "final" if accepted.final else "pending",
        "output": accepted.output,
        "policy_version": accepted.policy_number,
        "created": created,
    }
    return _json(body, 201 if created else 200)


def _answer_batch(doorway: Doorway, rows: Sequence[Row | BadRow]) -> HttpResponse:
    if not rows:
        raise invalid("", "empty", say("there are no rows"))
    _take_rows(doorway, len(rows))
    answers = doorway.through(lambda door: accept_predictions(door=door, rows=rows))
    counts = Counter(answer.status for answer in answers)
    body = {
        "created": counts["created"],
        "duplicates": counts["duplicate"],
        "conflicts": counts["conflict"],
        "invalid": counts["invalid"],
        "refused": counts["refused"],
        "results": [_line(answer) for answer in answers],
    }
    return _json(body, 200)


class _Line(msgspec.Struct, gc=False):
    """`BatchLine` as it is sent."""

    index: int
    id: str | None
    status: str
    prediction_id: int | msgspec.UnsetType | None = msgspec.UNSET
    route: str | msgspec.UnsetType | None = msgspec.UNSET
    output: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    errors: list[dict[str, str]] | msgspec.UnsetType = msgspec.UNSET


def _line(answer: Accepted) -> _Line:
    status = answer.status
    if status in ("created", "duplicate"):
        return _Line(answer.index, answer.id, status, answer.prediction_id, answer.route, answer.output)
    line = _Line(answer.index, answer.id, status)
    if status == "invalid":
        line.errors = field_errors(answer.errors)
    else:
        detail = _REFUSED if status == "refused" else _CONFLICTS[answer.code]
        line.errors = [{"pointer": "", "code": answer.code, "detail": str(detail)}]
    return line


def _json(body: Any, status: int) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(body), content_type="application/json", status=status)


def _number(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not least <= int(text) <= most:
        raise invalid(
            f"/{name}",
            "out_of_range",
            say("{name} must be a whole number from {least} to {most}", name=name, least=least, most=most),
        )
    return int(text)


urlpatterns = [
    path("projects/<str:slug>/predictions/", PredictionsView.as_view()),
    path("projects/<str:slug>/predictions/<path:key>/", PredictionView.as_view()),
    path("projects/<str:slug>/outcomes/", OutcomesView.as_view()),
]
