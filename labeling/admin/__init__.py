"""Django's admin, for administrators of the instance: everything configurable, changed through the services.

What is append-only can only be looked at; lists of big tables show their newest rows and count nothing.
"""

from django.apps import apps
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from labeling.admin import alerts, people, projects, work
from labeling.admin.names import put_into_words

__all__ = ["alerts", "people", "projects", "work"]

admin.site.site_header = "reviewapp"
admin.site.site_title = "reviewapp"
admin.site.index_title = _("Administration")

put_into_words(filter(admin.site.is_registered, apps.get_app_config("labeling").get_models()))
