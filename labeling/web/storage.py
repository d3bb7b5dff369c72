"""Static files under names that carry their hash, also where one of our JavaScript modules imports another."""

from django.contrib.staticfiles.storage import HashedFilesMixin
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Without this, an entry module of the new release could meet an imported one of the old in a browser's cache.

    Django's own switch would rewrite every script of every package, and some name modules that they do not ship.
    """

    patterns = (
        *HashedFilesMixin.patterns,
        ("js/*.js", HashedFilesMixin._js_module_import_aggregation_patterns[1]),  # type: ignore[attr-defined]
    )
