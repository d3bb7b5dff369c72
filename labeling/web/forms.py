"""What forms share: domain errors at the field they are about."""

from collections.abc import Mapping

from django import forms

from labeling.errors import LabelingError


def put_errors(form: forms.Form, error: LabelingError, places: Mapping[str, str]) -> None:
    """Show a domain error at the form fields its pointers mean; `places` maps beginnings of pointers to fields."""
    shown = False
    for part in error.errors:
        name = next((field for start, field in places.items() if part.pointer.startswith(start)), None)
        if name in form.fields:
            form.add_error(name, part.detail)
            shown = True
    if not shown:
        form.add_error(None, error.detail)
