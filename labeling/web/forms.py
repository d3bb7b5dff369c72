"""What forms share: the look of their inputs, and domain errors at the field they are about."""

from collections.abc import Mapping
from typing import Any

from django import forms

from labeling.errors import LabelingError
from labeling.web.wording import in_language

_PLAIN = (
    forms.TextInput,
    forms.EmailInput,
    forms.PasswordInput,
    forms.NumberInput,
    forms.Textarea,
    forms.Select,
)


class PageForm(forms.Form):
    """A form whose inputs look like the component sheet's; labels carry no colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for field in self.fields.values():
            if isinstance(field.widget, _PLAIN) and not field.widget.is_hidden:
                field.widget.attrs.setdefault("class", "input")


def put_errors(form: forms.Form, error: LabelingError, places: Mapping[str, str]) -> None:
    """Show a domain error at the form fields its pointers mean; `places` maps beginnings of pointers to fields."""
    shown = False
    for part in error.errors:
        name = next((field for start, field in places.items() if part.pointer.startswith(start)), None)
        if name in form.fields:
            form.add_error(name, in_language(part.detail))
            shown = True
    if not shown:
        form.add_error(None, in_language(error.detail))
