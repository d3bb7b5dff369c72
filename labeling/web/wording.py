"""Sentences of domain errors in the reader's language."""

from django.utils.translation import gettext

from labeling.errors import Sentence
from labeling.sentences import restored


def in_language(text: str) -> str:
    """A sentence in the language of the request, with the sentences inside it; what is not translated stays as it is."""
    if not isinstance(text, Sentence):
        return text
    values = {
        name: in_language(value) if isinstance(value, Sentence) else value
        for name, value in text.values.items()
    }
    try:
        return gettext(text.template).format(**values)
    except (LookupError, ValueError):  # a translation that names a place the sentence does not have
        return text.template.format(**values)


def told(row: object, name: str) -> str:
    """A stored sentence of a row in the language of the request; in English where the row is older than its parts."""
    return in_language(restored(row, name))
