"""Projects with their trend, label schemas, guidelines, policies, queues, and the schedule of datasets."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from labeling.admin.base import AdminPage, ReadOnly, Versions, actor_of, check_form, text_area
from labeling.datasets.models import Dataset, DatasetTag, DatasetVersion, Publication
from labeling.ingestion.models import ModelVersion
from labeling.pipeline.policies import publish_policy
from labeling.pipeline.projects import change_project
from labeling.projects.label_schema import compile_schema
from labeling.projects.models import Guidelines, LabelSchema, Project
from labeling.projects.queries import get_output_schema
from labeling.review.deadlines import set_deadline
from labeling.review.models import ReviewQueue
from labeling.routing.models import PolicyPeriod, PolicyVersion
from labeling.routing.policy import compile_policy
from labeling.trust.trends import list_trends


class ProjectList(ChangeList):
    """The rows of a page get their trend in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        shown = cast(Sequence[Any], self.result_list)
        trends = list_trends([project.pk for project in shown])
        for project in shown:
            project.trend = trends.get(project.pk)


@admin.register(Project)
class ProjectAdmin(AdminPage):
    """Names and the rhythm of publishing change here; label schema, policy and guidelines have versions of their own."""

    list_display = (
        "slug",
        "name",
        "confirmation",
        "task_type",
        "simulation",
        "policy_number",
        "publish_every_seconds",
        "publish_after_decisions",
    )
    search_fields = ("slug", "name")
    fields = (
        "slug",
        "name",
        "task_type",
        "time_zone",
        "publish_every_seconds",
        "publish_after_decisions",
        "simulation",
        "schema_number",
        "guidelines_number",
        "policy_number",
        "routing_epoch",
        "created_at",
        "created_by",
    )
    readonly_fields = (
        "slug",
        "task_type",
        "simulation",
        "schema_number",
        "guidelines_number",
        "policy_number",
        "routing_epoch",
        "created_at",
        "created_by",
    )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the page "new project" and the API make one whole

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ProjectList

    @admin.display(description=_("Confirmation rate, 30 days"))
    def confirmation(self, project: Any) -> SafeString:
        return render_to_string("admin/trend.html", {"trend": getattr(project, "trend", None)})

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        change_project(project=Project.objects.get(pk=obj.pk), by=actor_of(request), **values)


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    """The next version of a project's policy."""

    body = forms.JSONField(
        label=_("Body"), widget=text_area(), help_text=_("What is left out has its default.")
    )

    class Meta:
        model = PolicyVersion
        fields = ("project", "body", "note")

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if values.get("project") and "body" in values:
            schema = get_output_schema(values["project"])
            check_form(lambda: compile_policy(values["body"], schema=schema, at=""), "body")
        return values


@admin.register(PolicyVersion)
class PolicyVersionAdmin(Versions):
    """Adding one puts it in force at once, in every process."""

    form = PolicyForm
    list_display = ("project", "number", "created_at", "created_by", "note")
    list_filter = ("project",)
    ordering = ("-pk",)

    def save_model(self, request: HttpRequest, obj: PolicyVersion, form: Any, change: bool) -> None:
        made = publish_policy(project=obj.project, body=obj.body, note=obj.note, by=actor_of(request))
        obj.pk, obj.number = made.pk, made.number


class SchemaForm(forms.ModelForm):  # type: ignore[type-arg]
    """The next label schema: labels and fields may be added, and put in another order."""

    body = forms.JSONField(label=_("Body"), widget=text_area())

    class Meta:
        model = LabelSchema
        fields = ("project", "body")

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if values.get("project") and "body" in values:
            check_form(lambda: compile_schema(values["project"].task_type, values["body"]), "body")
        return values


@admin.register(LabelSchema)
class LabelSchemaAdmin(Versions):
    form = SchemaForm
    list_display = ("project", "number", "created_at", "created_by")
    list_filter = ("project",)
    ordering = ("-pk",)

    def save_model(self, request: HttpRequest, obj: LabelSchema, form: Any, change: bool) -> None:
        changed = change_project(project=obj.project, by=actor_of(request), label_schema=obj.body)
        obj.pk = LabelSchema.objects.get(project=changed, number=changed.schema_number).pk


@admin.register(Guidelines)
class GuidelinesAdmin(Versions):
    fields = ("project", "text")
    list_display = ("project", "number", "created_at", "created_by")
    list_filter = ("project",)
    ordering = ("-pk",)

    def save_model(self, request: HttpRequest, obj: Guidelines, form: Any, change: bool) -> None:
        changed = change_project(project=obj.project, by=actor_of(request), guidelines=obj.text)
        obj.pk = Guidelines.objects.get(project=changed, number=changed.guidelines_number).pk


@admin.register(PolicyPeriod)
class PolicyPeriodAdmin(ReadOnly):
    sentences = ("reason",)
    list_display = (
        "id",
        "project",
        "policy_number",
        "epoch",
        "level",
        "high",
        "low",
        "audit_rate",
        "started_at",
        "ended_at",
        "reason",
    )
    list_filter = ("project",)
    ordering = ("-pk",)


@admin.register(ReviewQueue)
class ReviewQueueAdmin(AdminPage):
    """How long a task may wait."""

    list_display = ("project", "slug", "name", "leads_only", "deadline_seconds")
    list_filter = ("project",)
    fields = ("project", "slug", "name", "leads_only", "deadline_seconds")
    readonly_fields = ("project", "slug", "name", "leads_only")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.base_fields["deadline_seconds"].required = False
        return form

    def save_model(self, request: HttpRequest, obj: ReviewQueue, form: Any, change: bool) -> None:
        queue = ReviewQueue.objects.get(pk=obj.pk)
        set_deadline(queue=queue, seconds=form.cleaned_data["deadline_seconds"], by=actor_of(request))


@admin.register(Dataset)
class DatasetAdmin(ReadOnly):
    """When it is published is set at its project."""

    list_display = ("project", "slug", "head", "every", "after", "created_at")
    list_filter = ("project",)

    @admin.display(description=_("published every (s)"))
    def every(self, dataset: Dataset) -> int:
        return dataset.project.publish_every_seconds

    @admin.display(description=_("or after decisions"))
    def after(self, dataset: Dataset) -> int:
        return dataset.project.publish_after_decisions


@admin.register(DatasetVersion)
class DatasetVersionAdmin(ReadOnly):
    list_display = ("dataset", "number", "digest", "added", "changed", "removed", "rows_live", "created_at")
    list_filter = ("dataset",)


@admin.register(Publication)
class PublicationAdmin(ReadOnly):
    sentences = ("error",)
    list_display = ("id", "dataset", "number", "state", "attempt", "opened_at", "closed_at", "error")
    list_filter = ("state",)
    ordering = ("-pk",)


admin.site.register([ModelVersion, DatasetTag], ReadOnly)
