"""Django's settings. The environment comes in through `reviewapp.env` only; docs/settings.md lists it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from csp.constants import NONE, SELF

from reviewapp import env as environment
from reviewapp.broker import celery_broker_url
from reviewapp.database import connection_settings
from reviewapp.stack.home import Home

ENV = environment.read()
HOME = Home(ENV.home)
SERVICES = HOME.recorded_services()
BASE_DIR = Path(__file__).resolve().parent.parent

# --- What this instance is -------------------------------------------------------------------------------------

PRODUCTION = ENV.is_production
TESTING = ENV.role == "test"  # a test run collects no static files
DEBUG = False
SECRET_KEY = ENV.secret_key or environment.kept_secret_key(ENV.home)
REVIEWAPP_HOME = ENV.home
REVIEWAPP_STORAGE = ENV.storage
REVIEWAPP_RETAIN_INPUT_DAYS = ENV.retain_input_days
REVIEWAPP_URL = ENV.url
REVIEWAPP_CREDENTIALS = HOME.credentials

# Bound to every address, the product cannot know its names; without a list it answers to any.
_EVERYWHERE = ENV.host in ("0.0.0.0", "::", "*")  # noqa: S104
ALLOWED_HOSTS = list(ENV.allowed_hosts) or (
    ["*"] if _EVERYWHERE else ["localhost", "127.0.0.1", "[::1]", environment.bracketed(ENV.host)]
)
CSRF_TRUSTED_ORIGINS = list(ENV.trusted_origins)

# --- What it is made of ----------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "labeling",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "template_partials",
    "csp",
    "axes",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "labeling.api.lane.ByKey",  # those below are for browsers
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "labeling.web.compression.PageCompression",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "labeling.web.language.PageLanguage",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",  # the last, as it asks to be; looks at an attribute, at nothing else
]

ROOT_URLCONF = "reviewapp.urls"
LOGIN_URL = "account:sign-in"
LOGIN_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "labeling.web.errors.csrf_failure"
WSGI_APPLICATION = "reviewapp.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Database, cache, sessions ---------------------------------------------------------------------------------

REDIS_URL = ENV.redis_url or SERVICES.redis_url
DATABASES = {"default": connection_settings(ENV.database_url or SERVICES.database_url, ENV)}
# In the memory of each process: nothing that must be right may depend on it.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
# In the database: people stay signed in through a restart or a new release.
SESSION_ENGINE = "labeling.projects.sessions"
SESSION_COOKIE_AGE = 14 * 24 * 3600

# --- Language, time, numbers -----------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
# Those with a catalogue in locale/: Django's own texts alone would make pages of two languages. See docs/translating.md.
LANGUAGES = [("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

# --- Security --------------------------------------------------------------------------------------------------

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# Ten wrong passwords for one name from one address close that pair for a quarter of an hour: nobody can close an account
# for its owner, or an address for everybody behind it.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "labeling.web.account.address_of"
AXES_LOCKOUT_CALLABLE = "labeling.web.account.too_many_attempts"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
SESSION_COOKIE_NAME = f"reviewapp_session_{ENV.port}"  # cookies know no ports: two instances on one host
CSRF_COOKIE_NAME = f"reviewapp_csrf_{ENV.port}"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if PRODUCTION else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# No inline script or style anywhere. Items may show media from data: URIs and https addresses.
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "img-src": [SELF, "data:", "blob:", "https:"],
        "media-src": [SELF, "data:", "blob:", "https:"],
        "frame-src": [SELF, "data:", "blob:"],
        "manifest-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- E-mail: links go out by it too, where a server is named ------------------------------------------------------

_MAIL = urlsplit(ENV.email_url or "")
EMAIL_HOST = _MAIL.hostname or ""
EMAIL_USE_SSL, EMAIL_USE_TLS = _MAIL.scheme == "smtps", _MAIL.scheme == "smtp+tls"
EMAIL_PORT = _MAIL.port or {"smtps": 465, "smtp+tls": 587}.get(_MAIL.scheme, 25)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_MAIL.username or ""), unquote(_MAIL.password or "")
EMAIL_TIMEOUT = 5
DEFAULT_FROM_EMAIL = ENV.email_from

# --- What clients may send (contract section 2) ----------------------------------------------------------------

DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000

# --- Static files ----------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = HOME.static
STATICFILES_DIRS = [folder for folder in (BASE_DIR / "static",) if folder.is_dir()]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING
        else "labeling.web.storage.StaticStorage"
    },
}
WHITENOISE_USE_FINDERS = TESTING
WHITENOISE_MAX_AGE = 3600  # files whose name carries no hash; the others never change

REVIEWAPP_WEBHOOK_HOSTS = ENV.webhook_hosts  # private hosts that webhooks of alerts may reach
REVIEWAPP_METRICS_TOKEN = ENV.metrics_token  # whoever reads /metrics must bear it; none: it is open

# --- API -------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "labeling.api.authentication.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["labeling.api.parsers.JsonParser"],
    "EXCEPTION_HANDLER": "labeling.api.problems.problem_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "reviewapp",
    "DESCRIPTION": "Predictions come in, people review what needs it, datasets and rates come out.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "AlertKindEnum": "labeling.alerts.models.AlertKind",
        "KindEnum": "labeling.review.models.TaskKind",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "labeling.api.schema.add_problems",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Celery: the broker is only the bell, the database knows what is to be done -----------------------------------

CELERY_BROKER_URL = celery_broker_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 15 * 60
CELERY_TASK_SOFT_TIME_LIMIT = 14 * 60
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 5_000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_POOL_LIMIT = ENV.threads
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A message is gone once it is read, not kept in the broker until acknowledged. Acknowledging over a connection that was
    # lost meanwhile ends the worker (kombu), and what its death leaves undone is found by a sweep in seconds, not in minutes.
    "ack_emulation": False,
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
    "socket_keepalive": "+socket" not in CELERY_BROKER_URL,
    "retry_on_timeout": True,
}
# A request that rings the bell waits for a missing broker half a second, not half a minute.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 2,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.3,
}
CELERY_BEAT_SCHEDULE_FILENAME = str(HOME.beat_schedule)


def _every(seconds: float, task: str) -> dict[str, Any]:
    """A beat entry; a ring that nobody heard in time is dropped, the next one does its work."""
    return {"task": f"labeling.tasks.{task}", "schedule": seconds, "options": {"expires": max(seconds, 5.0)}}


# Under a minute, no period is a multiple of another: what rings together waits for the same two cores as the requests do.
CELERY_BEAT_SCHEDULE = {
    "fold-rollups": _every(1.9, "fold_rollups"),
    "sequence-outcomes": _every(2.3, "sequence_outcomes"),
    "sweep-reviews": _every(5.3, "sweep_reviews"),
    "publish-due": _every(2.7, "publish_due"),
    "steer-autonomy": _every(3.1, "steer_autonomy"),
    "relieve-queues": _every(4.7, "relieve_queues"),
    "mix-sentinels": _every(3.3, "mix_sentinels"),
    "settle-overdue": _every(600.0, "settle_overdue"),
    "watch-over-all": _every(31.0, "watch_over_all"),
    "check-ledgers": _every(61.0, "check_ledgers"),
    "send-alerts": _every(10.3, "send_alerts"),
    "maintain-partitions": _every(600.0, "maintain_partitions"),
    "maintain-storage": _every(3600.0, "maintain_storage"),
    "forget-expired": _every(3600.0, "forget_expired"),
}

# --- Logging: plain lines to stderr, the supervisor keeps and rotates the files ------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": ENV.log_level},
    "loggers": {
        "django": {"handlers": [], "level": ENV.log_level, "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        "celery.app.trace": {"level": "WARNING"},  # one line for every bell otherwise
        "celery.beat": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}
