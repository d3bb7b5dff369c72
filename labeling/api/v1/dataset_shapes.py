"""What requests and answers about datasets look like (contract section 6)."""

from typing import Any

from rest_framework import serializers

from labeling.api.v1.fields import JsonField, PlainText
from labeling.datasets.models import PublicationState
from labeling.datasets.services import MAX_NOTE


class PublishIn(serializers.Serializer[Any]):
    note = PlainText(required=False, allow_blank=True, max_length=MAX_NOTE)
    tag = PlainText(required=False, max_length=64)


class PublicationOut(serializers.Serializer[Any]):
    publication = serializers.IntegerField(source="pk")
    state = serializers.ChoiceField(PublicationState.choices)
    version = serializers.IntegerField(
        source="published_as", allow_null=True, help_text="Null until it is done, and when empty"
    )
    decisions = serializers.IntegerField(source="decision_count")
    attempts = serializers.IntegerField(source="attempt")
    note = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    error = serializers.CharField(help_text="Why the last attempt did not succeed")
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)


class VersionOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    parent = serializers.IntegerField(allow_null=True)  # type: ignore[assignment]
    digest = serializers.CharField()
    created_at = serializers.DateTimeField()
    rows_live = serializers.IntegerField()
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    removed = serializers.IntegerField()
    splits = serializers.DictField(source="split_counts", child=serializers.IntegerField())
    labels = serializers.DictField(source="label_counts", child=serializers.IntegerField())
    tags = serializers.ListField(child=serializers.CharField(), source="tag_names")
    note = serializers.CharField()


class DatasetOut(serializers.Serializer[Any]):
    slug = serializers.CharField()
    version = serializers.IntegerField(allow_null=True)
    waiting = serializers.IntegerField(help_text="Decisions that are in no version yet")
    stuck = serializers.IntegerField(help_text="Of these: failed in every publication, wait for a person")
    oldest_at = serializers.DateTimeField(allow_null=True)
    publication = PublicationOut(allow_null=True)


class ChangeOut(serializers.Serializer[Any]):
    record_id = serializers.CharField()
    op = serializers.ChoiceField(["added", "changed", "removed"])
    version = serializers.IntegerField(help_text="The version of the last change in between")
    split = serializers.CharField()
    previous_label = JsonField(allow_null=True)
    label = JsonField(allow_null=True)  # type: ignore[assignment]


class TagIn(serializers.Serializer[Any]):
    tag = PlainText(max_length=64)
    protected = serializers.BooleanField(
        required=False, help_text="A protected tag never moves and cannot be removed"
    )


class TagOut(serializers.Serializer[Any]):
    tag = serializers.CharField(source="name")
    version = serializers.IntegerField()
    protected = serializers.BooleanField()


class VerifyIn(serializers.Serializer[Any]):
    full = serializers.BooleanField(required=False, help_text="Also work out every row's digest anew")


class VerifyOut(serializers.Serializer[Any]):
    version = serializers.IntegerField(source="number")
    digest = serializers.CharField()
    ok = serializers.BooleanField(source="is_intact")
    files = serializers.IntegerField()
    rows = serializers.IntegerField()
    problems = serializers.ListField(child=serializers.CharField())
