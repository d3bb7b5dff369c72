"""Dataset versions: publish, list, read, compare, name, verify (contract section 6)."""

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from kombu.exceptions import OperationalError as BrokerError
from rest_framework import serializers, status
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.api.authentication import actor_of
from labeling.api.pages import link, page_of, page_schema, page_size, read_cursor
from labeling.api.v1.dataset_shapes import (
    ChangeOut,
    DatasetOut,
    PublicationOut,
    PublishIn,
    TagIn,
    TagOut,
    VerifyIn,
    VerifyOut,
    VersionOut,
)
from labeling.api.v1.inputs import checked
from labeling.datasets import queries, services
from labeling.datasets.differences import compare_versions
from labeling.datasets.exports import to_csv, to_jsonl, to_parquet
from labeling.datasets.models import Dataset, DatasetVersion
from labeling.datasets.records import open_snapshot, read_records, require_files
from labeling.datasets.storage import open_storage
from labeling.datasets.tags import LATEST
from labeling.errors import invalid, say
from labeling.projects.access import Permission, get_project
from labeling.tasks import publish_dataset

logger = logging.getLogger(__name__)

MEDIA_TYPES = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


class _FormatIsOurs(DefaultContentNegotiation):
    """`?format=` names a file format here; DRF would look for a renderer of that name."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), JSONRenderer.media_type


class _DatasetView(APIView):
    content_negotiation_class = _FormatIsOurs


class DatasetView(_DatasetView):
    @extend_schema(responses=DatasetOut, operation_id="get_dataset")
    def get(self, request: Request, slug: str, dataset: str) -> Response:
        found = _dataset(request, slug, dataset, Permission.READ_DATASETS)
        waiting = queries.get_waiting(found)
        body = {
            "slug": found.slug,
            "version": found.head or None,
            "waiting": waiting.decisions,
            "stuck": waiting.stuck,
            "oldest_at": waiting.oldest_at,
            "publication": waiting.publication,
        }
        return Response(DatasetOut(body).data)


class VersionsView(_DatasetView):
    @extend_schema(
        operation_id="list_dataset_versions",
        responses=page_schema("DatasetVersionPage", VersionOut),
        parameters=[
            OpenApiParameter("limit", OpenApiTypes.INT),
            OpenApiParameter("cursor", OpenApiTypes.STR),
        ],
    )
    def get(self, request: Request, slug: str, dataset: str) -> Response:
        found = _dataset(request, slug, dataset, Permission.READ_DATASETS)

        def with_tags(versions: list[DatasetVersion], many: bool) -> VersionOut:
            return VersionOut(_with_tags(found, versions), many=many)

        return page_of(request, queries.list_versions(found), ordering="-number", serializer=with_tags)

    @extend_schema(
        operation_id="publish_dataset",
        request=PublishIn,
        responses={
            202: inline_serializer("PublicationAccepted", {"publication": serializers.IntegerField()}),
            200: inline_serializer(
                "NothingToPublish", {"version": serializers.IntegerField(allow_null=True)}
            ),
        },
        description="202: what waits will be a version; the publication says when. 200: nothing waits, this version has it all.",
    )
    def post(self, request: Request, slug: str, dataset: str) -> Response:
        found = _dataset(request, slug, dataset, Permission.LEAD)
        publication = services.request_publication(
            dataset=found, by=actor_of(request), **checked(PublishIn, request)
        )
        if publication is None:
            return Response({"version": queries.find_version_number(found, LATEST) or None})
        _ring(found)
        place = f"{request.path.removesuffix('versions/')}publications/{publication.pk}/"
        return Response(
            {"publication": publication.pk}, status=status.HTTP_202_ACCEPTED, headers={"Location": place}
        )


class PublicationView(_DatasetView):
    @extend_schema(responses=PublicationOut, operation_id="get_publication")
    def get(self, request: Request, slug: str, dataset: str, publication: int) -> Response:
        found = _dataset(request, slug, dataset, Permission.READ_DATASETS)
        return Response(PublicationOut(queries.get_publication(found, publication)).data)


class VersionView(_DatasetView):
    @extend_schema(
        responses=VersionOut,
        operation_id="get_dataset_version",
        description="By number, by tag, or `latest`.",
    )
    def get(self, request: Request, slug: str, dataset: str, version: str) -> Response:
        found = _dataset(request, slug, dataset, Permission.READ_DATASETS)
        return Response(VersionOut(_with_tags(found, [queries.get_version(found, version)])[0]).data)


class RecordsView(_DatasetView):
    @extend_schema(
        operation_id="read_dataset_records",
        parameters=[
            OpenApiParameter("format", OpenApiTypes.STR, enum=list(MEDIA_TYPES), default="jsonl"),
            OpenApiParameter("split", OpenApiTypes.STR),
        ],
        responses={(200, kind.partition(";")[0]): OpenApiTypes.BINARY for kind in MEDIA_TYPES.values()},
        description="All records of the version, streamed, by the version that last changed them and then by record id. A version "
        "never changes: with the answer's ETag in If-None-Match, what is known already is answered by 304.",
    )
    def get(self, request: Request, slug: str, dataset: str, version: str) -> HttpResponseBase:
        found = _dataset(request, slug, dataset, Permission.READ_DATASETS)
        form = request.query_params.get("format", "jsonl")
        if form not in MEDIA_TYPES:
            raise invalid(
                "/format", "unknown", say("format is one of {choices}", choices=", ".join(MEDIA_TYPES))
            )
        split = request.query_params.get("split")
        if split is not None and split not in found.split_ratios:
            raise invalid(
                "/split",
                "unknown",
                say("split is one of {choices}", choices=", ".join(sorted(found.split_ratios))),
            )
        wanted = queries.get_version(found, version)
        number = wanted.number
        # Weak: the same records, which another release may spell in other bytes.
        etag = f'W/"{"-".join(filter(None, (wanted.digest, form, split)))}"'
        # Kept, but asked for again: access may have been taken away.
        caching = {"ETag": etag, "Cache-Control": "private, no-cache"}
        nothing = HttpResponse(headers=caching)
        answer = get_conditional_response(request._request, etag=etag, response=nothing)
        if answer is not None and answer is not nothing:
            return answer
        pieces = _stream(found, number, form, split)
        # The first piece is made here: a storage that cannot be read is an error, not a broken answer.
        response = StreamingHttpResponse(
            chain([next(pieces, b"")], pieces), content_type=MEDIA_TYPES[form], headers=caching
        )
        name = "-".join(filter(None, (slug, found.slug, f"v{number}", split)))
        response["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
        return response


class DifferenceView(_DatasetView):
    @extend_schema(
        operation_id="compare_dataset_versions",
        parameters=[
            OpenApiParameter("limit", OpenApiTypes.INT),
            OpenApiParameter("cursor", OpenApiTypes.STR),
        ],
        responses=inline_serializer(
            "DatasetDifference",
            {
                "from": serializers.IntegerField(),
                "to": serializers.IntegerField(),
                **{name: serializers.IntegerField() for name in ("added", "changed", "removed")},
                "results": ChangeOut(many=True),
                "next": serializers.URLField(allow_null=True),
                "previous": serializers.URLField(allow_null=True),
            },
        ),
        description="What is left of all changes from the older version to the newer one, by record id.",
    )
    def get(self, request: Request, slug: str, dataset: str, version: str, newer: str) -> Response:
        found = _dataset(request, slug, dataset, Permission.READ_DATASETS)
        older_number, newer_number = (queries.get_version(found, name).number for name in (version, newer))
        backwards, after = read_cursor(request)
        if backwards or isinstance(after, int):
            raise invalid("/cursor", "invalid", say("this is not a cursor that was given out"))
        difference = compare_versions(
            open_storage(), found, older_number, newer_number, after=after, limit=page_size(request)
        )
        following = difference.next_after
        return Response(
            {
                "from": older_number,
                "to": newer_number,
                "added": difference.added,
                "changed": difference.changed,
                "removed": difference.removed,
                "results": ChangeOut(difference.changes, many=True).data,
                "next": link(request, following) if following is not None else None,
                "previous": None,
            }
        )


class TagsView(_DatasetView):
    @extend_schema(request=TagIn, responses=TagOut, operation_id="tag_dataset_version")
    def post(self, request: Request, slug: str, dataset: str, version: str) -> Response:
        found = _dataset(request, slug, dataset, Permission.LEAD)
        wanted = checked(TagIn, request)
        tag = services.set_tag(
            dataset=found,
            number=queries.get_version(found, version).number,
            name=wanted["tag"],
            protected=wanted.get("protected"),
            by=actor_of(request),
        )
        return Response(TagOut(tag).data)


class TagView(_DatasetView):
    @extend_schema(responses={204: None}, operation_id="untag_dataset_version")
    def delete(self, request: Request, slug: str, dataset: str, version: str, tag: str) -> Response:
        found = _dataset(request, slug, dataset, Permission.LEAD)
        number = queries.get_version(found, version).number
        services.remove_tag(dataset=found, number=number, name=tag, by=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class VerifyView(_DatasetView):
    @extend_schema(request=VerifyIn, responses=VerifyOut, operation_id="verify_dataset_version")
    def post(self, request: Request, slug: str, dataset: str, version: str) -> Response:
        found = _dataset(request, slug, dataset, Permission.LEAD)
        number = queries.get_version(found, version).number
        return Response(
            VerifyOut(
                services.verify_version(dataset=found, number=number, **checked(VerifyIn, request))
            ).data
        )


def _dataset(request: Request, slug: str, dataset: str, permission: Permission) -> Dataset:
    return queries.get_dataset(get_project(actor_of(request), slug, permission), dataset)


def _with_tags(dataset: Dataset, versions: list[DatasetVersion]) -> list[DatasetVersion]:
    """The versions, each with the names that stand on it."""
    tags = queries.list_tags(dataset, [version.number for version in versions])
    for version in versions:
        version.tag_names = tags.get(version.number, [])  # type: ignore[attr-defined]
    return versions


def _stream(dataset: Dataset, number: int, form: str, split: str | None) -> Iterator[bytes]:
    storage = open_storage()
    snapshot = open_snapshot(dataset, number)
    require_files(storage, dataset, snapshot)
    batches = read_records(storage, snapshot, split=split)
    if form == "csv":
        project = dataset.project
        return to_csv(batches, task_type=project.task_type, fields=queries.list_field_names(project))
    return to_jsonl(batches) if form == "jsonl" else to_parquet(batches)


def _ring(dataset: Dataset) -> None:
    """Tell a worker. Without a broker the publication waits in its row, and the sweep does it."""
    try:
        publish_dataset.delay_on_commit(dataset.pk)
    except BrokerError as error:
        logger.warning("no broker for the publication of dataset %s: %s", dataset.pk, error)


_DATASET = "projects/<str:slug>/datasets/<str:dataset>/"

urlpatterns = [
    path(_DATASET, DatasetView.as_view()),
    path(f"{_DATASET}versions/", VersionsView.as_view()),
    path(f"{_DATASET}versions/<str:version>/", VersionView.as_view()),
    path(f"{_DATASET}versions/<str:version>/records/", RecordsView.as_view()),
    path(f"{_DATASET}versions/<str:version>/diff/<str:newer>/", DifferenceView.as_view()),
    path(f"{_DATASET}versions/<str:version>/tags/", TagsView.as_view()),
    path(f"{_DATASET}versions/<str:version>/tags/<str:tag>/", TagView.as_view()),
    path(f"{_DATASET}versions/<str:version>/verify/", VerifyView.as_view()),
    path(f"{_DATASET}publications/<int:publication>/", PublicationView.as_view()),
]
