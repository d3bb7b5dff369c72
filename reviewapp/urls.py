"""The site map."""

from django.contrib import admin
from django.urls import include, path

from labeling.api import health

urlpatterns = [
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("api/v1/", include(("labeling.api.v1.urls", "api"))),
    path("admin/", admin.site.urls),
]
