"""Django's admin, for administrators of the instance: everything configurable, changed through the services.

What is append-only can only be looked at; lists of big tables show their newest rows and count nothing.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from labeling.admin import alerts, people, projects, work

__all__ = ["alerts", "people", "projects", "work"]

admin.site.site_header = "reviewapp"
admin.site.site_title = "reviewapp"
admin.site.index_title = _("Administration")
