"""The little line of a confirmation rate, and the table of them on the admin's first page."""

from typing import Any

from django import template

from labeling.projects.models import Project
from labeling.trust.trends import DAYS, Trend, list_trends
from labeling.web.home import path_of

register = template.Library()
MOST = 50


@register.filter
def line(trend: Trend) -> str:
    """The days as a path in a box of 1000 x 100; days on which nobody decided stay gaps."""
    return path_of(trend.points, DAYS)


@register.filter
def dots(trend: Trend) -> list[tuple[float, float]]:
    """The corner of a mark for each day, so that a day between two gaps is seen too."""
    return [(day * 1000 / (DAYS - 1) - 7, 96 - share * 100) for day, share in trend.points]


@register.inclusion_tag("admin/trends.html")
def project_trends() -> dict[str, Any]:
    """The first projects by slug, each with its trend, in two queries."""
    projects = list(Project.objects.order_by("slug")[: MOST + 1])
    trends = list_trends([project.pk for project in projects[:MOST]])
    rows = [(project, trends.get(project.pk)) for project in projects[:MOST]]
    return {"rows": rows, "more": len(projects) > MOST}
