"""The least Django needs to insert a row in a transaction of its own."""

import os

from psycopg.conninfo import conninfo_to_dict

_GIVEN = conninfo_to_dict(os.environ["FLOOR_DATABASE_URL"])

SECRET_KEY = "only-for-floors"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "bench.floor.site"
MIDDLEWARE: list[str] = []
INSTALLED_APPS: list[str] = []
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _GIVEN["dbname"],
        "USER": _GIVEN.get("user", ""),
        "HOST": _GIVEN["host"],
        "PORT": _GIVEN.get("port", ""),
        "OPTIONS": {"pool": {"min_size": 2, "max_size": 8}},
    }
}
