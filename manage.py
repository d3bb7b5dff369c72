#!/usr/bin/env python
"""Django's command line, with the project's settings."""

import os
import sys

from django.core.management import execute_from_command_line

from reviewapp.env import SettingError


def main() -> None:
    """Run one command; a setting it cannot start with is one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewapp.settings")
    try:
        execute_from_command_line(sys.argv)
    except SettingError as error:
        print(f"reviewapp: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
