"""Accounts, members, invitations, keys, and who did what."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import admin as _accounts  # noqa: F401  (registers its pages, so that they can be replaced)
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from labeling.admin.base import AdminPage, Newest, ReadOnly, actor_of
from labeling.history.models import HistoryEvent
from labeling.pipeline.people import deactivate, remove_member, set_member
from labeling.projects.accounts import change_account, make_password_link, reactivate
from labeling.projects.invitations import withdraw_invitation
from labeling.projects.models import ApiKey, Invitation, Membership
from labeling.projects.services import create_api_key, revoke_api_key
from labeling.web.names import NAMES

admin.site.unregister([User, Group])  # Django's own pages for them; ours take their place


@admin.register(User)
class UserAdmin(AdminPage):
    """People come by invitation. Closing an account and new passwords are actions, so that sessions and claims end too."""

    list_display = (
        "username",
        "first_name",
        "last_name",
        "email",
        "is_active",
        "is_superuser",
        "is_staff",
        "last_login",
    )
    list_filter = ("is_active", "is_superuser")
    search_fields = ("username", "first_name", "last_name", "email")
    ordering = ("username",)
    fields = (
        "username",
        "first_name",
        "last_name",
        "email",
        "is_superuser",
        "is_staff",
        "is_active",
        "last_login",
        "date_joined",
    )
    readonly_fields = ("username", "is_active", "last_login", "date_joined")
    actions = ("password_link", "deactivate", "reactivate")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what they decided stays theirs

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        change_account(user=User.objects.get(pk=obj.pk), by=actor_of(request), **values)

    @admin.action(description=_("Make a link for a new password"))
    def password_link(self, request: HttpRequest, queryset: Any) -> None:
        for user in queryset[:20]:
            _link, plain = make_password_link(user=user, by=actor_of(request))
            url = request.build_absolute_uri(reverse("link:password", args=[plain]))
            values = {"name": user.get_username(), "url": url}
            messages.success(request, gettext("%(name)s, once, within a day: %(url)s") % values)

    @admin.action(description=_("Deactivate: sessions end, keys are refused, claims are released"))
    def deactivate(self, request: HttpRequest, queryset: Any) -> None:
        for user in queryset:
            deactivate(user=user, by=actor_of(request))

    @admin.action(description=_("Reactivate"))
    def reactivate(self, request: HttpRequest, queryset: Any) -> None:
        for user in queryset:
            reactivate(user=user, by=actor_of(request))


@admin.register(Membership)
class MembershipAdmin(AdminPage):
    list_display = ("project", "user", "role")
    list_filter = ("role", "project")
    search_fields = ("user__username", "project__slug")
    autocomplete_fields = ("project", "user")
    actions = ("delete_selected",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("project", "user") if obj else ()

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        saved = set_member(
            project=obj.project, username=obj.user.get_username(), role=obj.role, by=actor_of(request)
        )
        obj.pk = saved.pk

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        remove_member(project=obj.project, username=obj.user.get_username(), by=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for member in queryset:
            self.delete_model(request, member)


@admin.register(Invitation)
class InvitationAdmin(ReadOnly):
    """Made and renewed on a project's page, which shows the link this once; here they can be withdrawn."""

    list_display = ("name", "project", "role", "created_by", "created_at", "expires_at")
    list_filter = ("project", "role")
    actions = ("withdraw",)

    @admin.action(description=_("Withdraw"))
    def withdraw(self, request: HttpRequest, queryset: Any) -> None:
        for invitation in queryset:
            withdraw_invitation(invitation=invitation, by=actor_of(request))


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A key that acts as a member, within scopes."""

    scopes = forms.MultipleChoiceField(
        choices=[(code, format_lazy("{} ({})", words, code)) for code, words in NAMES["scope"].items()],
        widget=forms.CheckboxSelectMultiple,
        label=_("Scopes"),
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "project", "member", "requests_per_second", "rows_per_second")


@admin.register(ApiKey)
class ApiKeyAdmin(AdminPage):
    """A new key is shown once, after saving. Keys are revoked, never changed or deleted."""

    form = ApiKeyForm
    list_display = (
        "name",
        "prefix",
        "scopes",
        "project",
        "member",
        "created_at",
        "last_used_at",
        "requests_per_second",
        "rows_per_second",
        "revoked_at",
    )
    list_filter = ("project",)
    search_fields = ("name", "prefix")
    autocomplete_fields = ("project", "member")
    actions = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request) and obj is None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        key, plain = create_api_key(
            name=obj.name,
            scopes=obj.scopes,
            project=obj.project,
            member=obj.member,
            by=actor_of(request),
            requests_per_second=obj.requests_per_second,
            rows_per_second=obj.rows_per_second,
        )
        obj.pk = key.pk
        messages.success(request, gettext("The new key. It is shown this once: %(key)s") % {"key": plain})

    @admin.action(description=_("Revoke the selected keys"))
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        for key in queryset:
            revoke_api_key(key=key, by=actor_of(request))


@admin.register(HistoryEvent)
class HistoryAdmin(Newest):
    list_display = ("at", "project", "by", "action", "subject", "details")
    list_filter = ("project", "action")
