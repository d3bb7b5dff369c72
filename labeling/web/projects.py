"""A project's overview with its queues; making a project; its settings and guidelines."""

import json
import re
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.errors import LabelingError
from labeling.ingestion.models import ModelVersion
from labeling.pipeline.projects import change_project, create_project
from labeling.projects.access import Permission, require_admin
from labeling.projects.label_schema import FIELD_TYPES
from labeling.projects.models import TaskType
from labeling.projects.queries import find_guidelines, get_guidelines, get_schema_body
from labeling.routing.queries import get_policy
from labeling.web import actor_of
from labeling.web.forms import PageForm, put_errors
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.page import is_fragment, page
from labeling.web.queues import overview_of


@page("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """Queues, my last decisions, where the last day's predictions went; or the first steps of a new project."""
    frame = project_frame(request, slug, Permission.SEE, tab="queues")
    if not ModelVersion.objects.filter(project=frame.project).exists():
        return _first_steps(request, frame)
    if request.headers.get("HX-Target") == "first-prediction":
        return HttpResponse(headers={"HX-Refresh": "true"})
    template = "project/overview.html#queues" if is_fragment(request) else "project/overview.html"
    return render(request, template, {"frame": frame, "overview": overview_of(frame)})


@page("GET")
def guidelines(request: HttpRequest, slug: str) -> HttpResponse:
    """What reviewers are told, as a page or in a dialog."""
    frame = project_frame(request, slug, Permission.SEE, tab="")
    template = "project/guidelines.html#guidelines" if is_fragment(request) else "project/guidelines.html"
    written = find_guidelines(frame.project)
    context = {
        "frame": frame,
        "written": written if written and written.text.strip() else None,
        "schema": get_schema_body(frame.project),
    }
    return render(request, template, context)


@page("GET", "POST")
def create(request: HttpRequest) -> HttpResponse:
    """A new project by form."""
    actor = actor_of(request)
    require_admin(actor)
    form = NewProject(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            project = create_project(by=actor, **form.wanted())
        except LabelingError as error:
            put_errors(form, error, {"/label_schema": "labels", "/slug": "slug", "/time_zone": "time_zone"})
        else:
            return redirect("project:detail", project.slug)
    return render(request, "project/new.html", {"form": form}, status=422 if form.errors else 200)


@page("GET", "POST")
def settings(request: HttpRequest, slug: str) -> HttpResponse:
    """Name, guidelines, time zone, publishing rhythm."""
    frame = project_frame(request, slug, Permission.LEAD, tab="")
    project = frame.project
    initial = {name: getattr(project, name) for name in ProjectSettings.PLAIN}
    form = ProjectSettings(request.POST or None, initial={**initial, "guidelines": get_guidelines(project)})
    if request.method == "POST" and form.is_valid():
        try:
            change_project(project=project, by=frame.actor, **form.changes())
        except LabelingError as error:
            put_errors(form, error, {"/time_zone": "time_zone", "/guidelines": "guidelines"})
        else:
            messages.success(request, _("Saved."))
            return redirect("project:settings", slug)
    context = {"frame": frame, "form": form, "schema": get_schema_body(project)}
    return render(request, "project/settings.html", context, status=422 if form.errors else 200)


class NewProject(PageForm):
    """The form of a new project. Labels and fields are typed one to a line."""

    name = forms.CharField(max_length=200, label=gettext_lazy("Name"))
    slug = forms.SlugField(
        max_length=60,
        label=gettext_lazy("Short name"),
        help_text=gettext_lazy("part of every address; letters, digits, hyphens; it does not change"),
    )
    task_type = forms.ChoiceField(
        label=gettext_lazy("What is predicted"),
        choices=[
            (TaskType.CLASSIFICATION, gettext_lazy("One label for each item")),
            (TaskType.MULTILABEL, gettext_lazy("Any number of labels")),
            (TaskType.TEXT, gettext_lazy("A text, such as a transcript")),
            (TaskType.FIELDS, gettext_lazy("Fields of a form")),
            (TaskType.SPANS, gettext_lazy("Marked words in a text (confirm only)")),
            (TaskType.BOXES, gettext_lazy("Boxes on a picture (confirm only)")),
        ],
    )
    labels = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        label=gettext_lazy("Labels or fields, one on each line"),
        help_text=gettext_lazy(
            "their order is the order of the keys 1, 2, 3 …; fields may name a type: “total: number” "
            "(string, number, boolean, date); not needed for texts"
        ),
    )
    guidelines = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        label=gettext_lazy("Guidelines for reviewers"),
        help_text=gettext_lazy("Markdown; can be written later"),
    )
    time_zone = forms.CharField(
        initial="UTC", label=gettext_lazy("Time zone"), help_text=gettext_lazy("for example Europe/Berlin")
    )

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if slug == "new":
            raise forms.ValidationError(_("“new” is taken by this page."))
        return slug

    def wanted(self) -> dict[str, Any]:
        """What the pipeline is asked for."""
        data = self.cleaned_data
        return {
            "slug": data["slug"],
            "name": data["name"],
            "task_type": data["task_type"],
            "label_schema": schema_of(data["task_type"], data["labels"]),
            "guidelines": data["guidelines"],
            "time_zone": data["time_zone"],
        }


class ProjectSettings(PageForm):
    """What may change in a project later on."""

    PLAIN = ("name", "notice", "time_zone", "publish_every_seconds", "publish_after_decisions")

    name = forms.CharField(max_length=200, label=gettext_lazy("Name"))
    notice = forms.CharField(
        required=False,
        max_length=300,
        label=gettext_lazy("Notice"),
        help_text=gettext_lazy("one sentence for everybody, shown on every page of the project"),
    )
    time_zone = forms.CharField(max_length=60, label=gettext_lazy("Time zone"))
    guidelines = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 12}),
        label=gettext_lazy("Guidelines for reviewers"),
    )
    publish_every_seconds = forms.IntegerField(
        min_value=10,
        max_value=30 * 24 * 3600,
        label=gettext_lazy("Publish every … seconds"),
        help_text=gettext_lazy("when a decision has waited this long, a dataset version is made"),
    )
    publish_after_decisions = forms.IntegerField(
        min_value=1,
        max_value=1_000_000,
        label=gettext_lazy("Publish after … decisions"),
        help_text=gettext_lazy("or earlier, when so many wait"),
    )

    def changes(self) -> dict[str, Any]:
        """Only what is different from before: guidelines get a new number each time they are written."""
        data = {name: value for name, value in self.cleaned_data.items() if name in self.changed_data}
        if "guidelines" in data:
            data["guidelines"] = data["guidelines"].replace("\r\n", "\n")
        return data


def schema_of(task_type: str, lines: str) -> dict[str, Any]:
    """The label schema that the typed lines mean."""
    entries = [line.strip() for line in lines.splitlines() if line.strip()]
    if task_type == TaskType.TEXT:
        return {}
    if task_type != TaskType.FIELDS:
        return {"labels": entries}
    fields = {}
    for entry in entries:
        typed = re.fullmatch(rf"(.+?)\s*:\s*({'|'.join(FIELD_TYPES)})", entry)
        fields[typed[1] if typed else entry] = {"type": typed[2] if typed else "string"}
    return {"fields": fields}


def _first_steps(request: HttpRequest, frame: ProjectFrame) -> HttpResponse:
    """A project that has seen nothing yet; its page asks again until the first prediction is there."""
    if request.headers.get("HX-Target") == "first-prediction":
        return HttpResponse(status=204)
    policy = get_policy(frame.project, frame.project.policy_number)
    context = {
        "frame": frame,
        "policy": policy,
        "schema": get_schema_body(frame.project),
        "example": example_row(frame.project.task_type, get_schema_body(frame.project)),
        "address": request.build_absolute_uri(reverse("home")).rstrip("/")
        + f"/api/v1/projects/{frame.project.slug}/predictions/",
    }
    return render(request, "project/first_steps.html", context)


def example_row(task_type: str, schema: dict[str, Any]) -> str:
    """A prediction to copy, in the shape of this project."""
    labels = schema.get("labels") or ["yes"]
    prediction: dict[str, Any] = {
        TaskType.CLASSIFICATION: {"label": labels[0]},
        TaskType.MULTILABEL: {"labels": labels[:2]},
        TaskType.TEXT: {"text": "Nordhof Hardware"},
        TaskType.FIELDS: {
            "fields": {
                name: _example_value(name, spec) for name, spec in (schema.get("fields") or {}).items()
            }
        },
        TaskType.SPANS: {"spans": [{"start": 0, "end": 7, "label": labels[0]}]},
        TaskType.BOXES: {"boxes": [{"x": 0.1, "y": 0.1, "width": 0.5, "height": 0.3, "label": labels[0]}]},
    }[TaskType(task_type)]
    lines = [
        '{"id": "item-0001",',
        ' "input": {"text": "Nordhof Hardware, 18 Nov 2026, 39.91"},',
        f' "prediction": {json.dumps(prediction, ensure_ascii=False)},',
        ' "confidence": 0.83, "model": "my-model", "model_version": "1.0"}',
    ]
    return ("\n" + " " * 7).join(lines).replace("'", "’")


def _example_value(name: str, spec: dict[str, Any]) -> Any:
    by_type = {"number": 39.91, "boolean": True, "date": "2026-11-18"}
    by_name = {"date": "2026-11-18", "total": "39.91", "number": "0088-41"}
    return by_type.get(spec.get("type", "string"), by_name.get(name, "Nordhof Hardware"))
