"""The site map of the pages."""

from typing import Any

from django.urls import include, path

from labeling.web import (
    account,
    alerts,
    autonomy,
    components,
    dataset_versions,
    datasets,
    filters,
    history,
    home,
    items,
    ledger,
    links,
    media,
    models,
    my_decisions,
    own_keys,
    people,
    policy,
    projects,
    queues,
    review,
    trust,
)


def _area(name: str, *patterns: Any) -> Any:
    return include((list(patterns), name))


_project = [
    path(
        "",
        _area(
            "project",
            path("", projects.overview, name="detail"),
            path("guidelines/", projects.guidelines, name="guidelines"),
            path("settings/", projects.settings, name="settings"),
        ),
    ),
    path("media/<str:signed>/", media.show, name="media"),
    path(
        "review/",
        _area(
            "queue",
            path("", review.review, name="any"),
            path("<slug:queue>/", review.review, name="detail"),
            path("<slug:queue>/filter/", filters.choose, name="filter"),
        ),
    ),
    path(
        "tasks/",
        _area(
            "task",
            path("more/", review.more, name="more"),
            path("heartbeat/", review.heartbeat, name="heartbeat"),
            path("release/", review.release, name="release"),
            path("undo/", review.undo, name="undo"),
            path("mine/", my_decisions.overview, name="mine"),
            path("<int:task_id>/", review.task, name="detail"),
            path("<int:task_id>/decide/", review.decide, name="decide"),
            path("<int:task_id>/reopen/", review.reopen, name="reopen"),
            path("<int:task_id>/skip/", review.skip, name="skip"),
        ),
    ),
    path(
        "claims/",
        _area(
            "claim",
            path("", queues.claims, name="list"),
            path("take-back/", queues.take_back_claims, name="take-back"),
            path("deadlines/", queues.deadlines, name="deadlines"),
        ),
    ),
    path("trust/", include((trust.urlpatterns, "trust"))),
    path("autonomy/", include((autonomy.urlpatterns, "autonomy"))),
    path(
        "policy/",
        _area(
            "policy",
            path("", policy.detail, name="detail"),
            path("preview/", policy.preview, name="preview"),
        ),
    ),
    path("models/", _area("model", path("", models.overview, name="list"))),
    path(
        "items/",
        _area(
            "item",
            path("", items.overview, name="list"),
            path("<path:item_id>/", items.detail, name="detail"),
        ),
    ),
    path(
        "datasets/",
        _area(
            "dataset",
            path("", datasets.overview, name="list"),
            path("publish/", datasets.publish, name="publish"),
            path("retry/", datasets.retry, name="retry"),
            path("records/", dataset_versions.record, name="record"),
            path("changes/", dataset_versions.choose_difference, name="choose-difference"),
            path("versions/<str:reference>/", dataset_versions.version, name="version"),
            path("versions/<str:reference>/tag/", dataset_versions.tag, name="tag"),
            path("versions/<str:reference>/verify/", dataset_versions.verify, name="verify"),
            path("versions/<str:older>/diff/<str:newer>/", dataset_versions.difference, name="difference"),
        ),
    ),
    path(
        "people/",
        _area(
            "people",
            path("", people.overview, name="list"),
            path("invite/", people.invite_somebody, name="invite"),
            path("invitations/<int:invitation_id>/", people.change_invitation, name="invitation"),
            path("accounts/", people.change_account, name="account"),
            path("keys/", people.create_key, name="create-key"),
            path("keys/<int:key_id>/revoke/", people.revoke_key, name="revoke-key"),
        ),
    ),
    path("audit/", _area("history", path("", history.overview, name="list"))),
]

urlpatterns = [
    path("", home.overview, name="home"),
    path("keys/", home.keys, name="keys"),
    path("components/", components.sheet, name="components"),
    path("ledger/", ledger.overview, name="ledger"),
    path(
        "alerts/",
        _area(
            "alert",
            path("", alerts.overview, name="list"),
            path("<int:alert_id>/acknowledge/", alerts.acknowledge, name="acknowledge"),
            path("recipients/", alerts.recipients, name="recipients"),
            path("recipients/<int:recipient_id>/remove/", alerts.remove, name="remove"),
            path("test/", alerts.test, name="test"),
        ),
    ),
    path(
        "account/",
        _area(
            "account",
            path("", account.detail, name="detail"),
            path("keys/", own_keys.edit, name="keys"),
            path("sign-in/", account.SignIn.as_view(), name="sign-in"),
            path("sign-out/", account.SignOut.as_view(), name="sign-out"),
            path("password/", account.new_password, name="password"),
            path("sessions/end/", account.end_sessions, name="end-sessions"),
        ),
    ),
    path(
        "link/",
        _area(
            "link",
            path("join/<str:token>/", links.invitation, name="invitation"),
            path("password/<str:token>/", links.password, name="password"),
        ),
    ),
    path("projects/new/", projects.create, name="project-new"),
    path("projects/<slug:slug>/", include(_project)),
]
