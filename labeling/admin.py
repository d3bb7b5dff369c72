"""Django's admin: everything configurable can be looked at; what has a history is changed through its page or the API."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from labeling.datasets.models import Dataset, DatasetTag, DatasetVersion, Publication
from labeling.decisions.models import Decision
from labeling.history.actor import Actor
from labeling.history.models import HistoryEvent
from labeling.ingestion.models import ModelVersion
from labeling.projects.models import ApiKey, Guidelines, LabelSchema, Membership, Project
from labeling.projects.services import remove_member, revoke_api_key, set_member
from labeling.review.models import ReviewQueue, ReviewTask
from labeling.routing.models import PolicyPeriod, PolicyVersion
from labeling.routing.services import touch_routing

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnly(ModelAdmin):
    """Rows that the product writes by itself, or that refuse change."""

    show_full_result_count = False  # no count over a big table
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Project)
class ProjectAdmin(ModelAdmin):
    """Names and rhythm can be changed here; label schema, policy and guidelines have versions and are changed elsewhere."""

    list_display = ("slug", "name", "task_type", "time_zone", "simulation", "policy_number")
    search_fields = ("slug", "name")
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

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        obj.save(update_fields=form.changed_data or None)
        touch_routing(obj.pk)


@admin.register(Membership)
class MembershipAdmin(ModelAdmin):
    list_display = ("project", "user", "role")
    list_filter = ("role", "project")
    autocomplete_fields = ("project",)

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        set_member(project=obj.project, username=obj.user.get_username(), role=obj.role, by=_actor(request))

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        remove_member(project=obj.project, username=obj.user.get_username(), by=_actor(request))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for member in queryset:
            self.delete_model(request, member)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    """Keys are made by the API, which shows them once; here they can be revoked."""

    list_display = ("name", "prefix", "scopes", "project", "member", "created_at", "revoked_at")
    list_filter = ("project",)
    actions = ("revoke",)

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        for key in queryset:
            revoke_api_key(key=key, by=_actor(request))


@admin.register(HistoryEvent)
class HistoryAdmin(ReadOnly):
    list_display = ("at", "project", "by", "action", "subject")
    list_filter = ("action", "project")


@admin.register(PolicyVersion)
class PolicyVersionAdmin(ReadOnly):
    list_display = ("project", "number", "created_at", "created_by", "note")
    list_filter = ("project",)


@admin.register(PolicyPeriod)
class PolicyPeriodAdmin(ReadOnly):
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
    )
    list_filter = ("project",)


@admin.register(ReviewTask)
class ReviewTaskAdmin(ReadOnly):
    """`purpose` is for administrators only: reviewers must not be able to tell a blind check."""

    list_display = ("id", "project", "queue", "kind", "state", "claimed_by", "created_at")
    list_filter = ("state", "project")


@admin.register(Decision)
class DecisionAdmin(ReadOnly):
    list_display = ("id", "project", "verdict", "decided_by", "decided_at")
    list_filter = ("verdict", "project")


@admin.register(DatasetVersion)
class DatasetVersionAdmin(ReadOnly):
    list_display = ("dataset", "number", "digest", "added", "changed", "removed", "rows_live", "created_at")


@admin.register(Publication)
class PublicationAdmin(ReadOnly):
    list_display = ("id", "dataset", "number", "state", "attempt", "opened_at", "closed_at", "error")
    list_filter = ("state",)


admin.site.register([LabelSchema, Guidelines, ModelVersion, ReviewQueue, Dataset, DatasetTag], ReadOnly)
admin.site.site_header = "reviewapp"


def _actor(request: HttpRequest) -> Actor:
    user: Any = request.user
    return Actor(user_id=user.pk, username=user.get_username(), is_admin=user.is_superuser)
