"""What the pages of the admin share: who may, errors of services as messages, lists that do not count."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.functional import cached_property

from labeling.admin.names import FIELDS
from labeling.errors import LabelingError
from labeling.history.actor import Actor
from labeling.sentences import restored
from labeling.web.wording import in_language

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    BoundedPaginator = Paginator[Any]
else:
    ModelAdmin = admin.ModelAdmin
    BoundedPaginator = Paginator

NEWEST = 5_000


class ShortCount(BoundedPaginator):
    """Counts to a limit and no further: the last page it offers need not be the last there is."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return len(rows.order_by().values_list("pk", flat=True)[:NEWEST])


class AdminPage(ModelAdmin):
    """For administrators of the whole instance only; what a service refuses is said, and nothing is saved."""

    show_full_result_count = False
    paginator = ShortCount
    list_per_page = 50
    list_select_related = True
    actions: Any = None

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_admin(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_admin(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_admin(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_admin(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_admin(request)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _said(request, lambda: super(AdminPage, self).changeform_view(request, *args, **kwargs))

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _said(request, lambda: super(AdminPage, self).delete_view(request, *args, **kwargs))

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _said(request, lambda: super(AdminPage, self).changelist_view(request, *args, **kwargs))


def told(column: str) -> Callable[[Any], str]:
    """A column that holds a sentence, in the reader's language."""

    @admin.display(description=FIELDS[column], ordering=column)
    def tell(row: Any) -> str:
        return in_language(restored(row, column))

    return tell


class ReadOnly(AdminPage):
    """Rows that the product writes by itself, or that refuse change. `sentences` names columns that hold one."""

    sentences: tuple[str, ...] = ()

    def get_list_display(self, request: HttpRequest) -> Any:
        return [self._shown(name) for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [self._shown(name) for name in super().get_fields(request, obj) if name != "said"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_readonly_fields(request, obj), *self._told.values()]

    def _shown(self, name: Any) -> Any:
        return self._told.get(name, name)

    @cached_property
    def _told(self) -> dict[str, Callable[[Any], str]]:
        return {name: told(name) for name in self.sentences}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Versions(AdminPage):
    """Numbered and never changed: one is added, the old ones are looked at."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Newest(ReadOnly):
    """A big table: the list is about its newest rows, so that no filter can walk through all of it."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        if match is None or not str(match.url_name).endswith("_changelist"):
            return rows
        edge = rows.order_by("-pk").values_list("pk", flat=True)[NEWEST : NEWEST + 1]
        oldest = next(iter(edge), None)
        return rows if oldest is None else rows.filter(pk__gt=oldest)


def actor_of(request: HttpRequest) -> Actor:
    """The administrator as the services know them."""
    user: Any = request.user
    return Actor(user_id=user.pk, username=user.get_username(), is_admin=user.is_superuser)


def check_form(check: Callable[[], Any], field: str) -> None:
    """Run a check of the product's inside a form's `clean`; what it finds is said at the field."""
    try:
        check()
    except LabelingError as error:
        raise ValidationError(
            {field: [in_language(part.detail) for part in error.errors] or [in_language(error.detail)]}
        ) from error


def text_area(rows: int = 18) -> forms.Textarea:
    """A wide box for JSON or Markdown."""
    return forms.Textarea(attrs={"rows": rows, "cols": 100})


def _is_admin(request: HttpRequest) -> bool:
    user: Any = request.user
    return bool(user.is_active and user.is_superuser)


def _said(request: HttpRequest, view: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    try:
        return view()
    except LabelingError as error:
        messages.error(request, in_language(error.detail))
        return HttpResponseRedirect(request.get_full_path())
