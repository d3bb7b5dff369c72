"""The site map of /api/v1/; each area names its own paths."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from labeling.api.v1 import alerts, autonomy, datasets, people, predictions, projects, queues, review, trust

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api:schema"), name="docs"),
    *[
        path("", include(area.urlpatterns))
        for area in (predictions, review, queues, datasets, trust, autonomy, people, alerts, projects)
    ],
]
