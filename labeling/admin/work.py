"""The work itself, to look at: tasks and decisions, the newest of them."""

from django.contrib import admin

from labeling.admin.base import Newest
from labeling.decisions.models import Decision
from labeling.review.models import ReviewTask


@admin.register(ReviewTask)
class ReviewTaskAdmin(Newest):
    """`purpose` is for administrators only: reviewers must not be able to tell a blind check."""

    list_display = ("id", "project", "queue", "kind", "state", "claimed_by", "created_at")
    list_filter = ("state", "project")


@admin.register(Decision)
class DecisionAdmin(Newest):
    list_display = ("id", "project", "verdict", "decided_by", "decided_at")
    list_filter = ("verdict", "project")
