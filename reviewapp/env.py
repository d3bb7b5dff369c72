"""Reads the environment, once, with types.

Every variable the product understands is a field of `Environment`, and nothing else reads
`os.environ`. A wrong value raises `SettingError`, whose text is one sentence that names the
variable: whoever starts a process prints it and stops.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PRODUCTION = "production"
DEVELOPMENT = "development"
STORAGE_SCHEMES = ("s3", "gs", "az")
ROLES = ("web", "worker", "beat", "demo", "command", "test")
SOCKET_PATH_LIMIT = 100  # sockaddr_un holds 104 bytes on macOS, 108 on Linux


class SettingError(Exception):
    """A setting that the product cannot start with; the text is one sentence for a person."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the environment asks for. docs/settings.md describes each variable."""

    home: Path
    host: str
    port: int
    mode: str
    role: str
    demo: bool
    workers: int
    threads: int
    allowed_hosts: tuple[str, ...]
    trusted_origins: tuple[str, ...]
    log_level: str
    storage: str
    secret_key: str | None
    database_url: str | None
    redis_url: str | None
    retain_input_days: int
    email_url: str | None
    email_from: str
    webhook_hosts: tuple[str, ...]
    metrics_token: str | None

    @property
    def is_production(self) -> bool:
        return self.mode == PRODUCTION

    @property
    def url(self) -> str:
        """Where a person on this machine finds the product."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "*": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{bracketed(host)}:{self.port}"


def read(environ: Mapping[str, str] = os.environ) -> Environment:
    """The whole environment, or SettingError for the first value that is wrong."""
    home = Path(_text(environ, "REVIEWAPP_HOME", ".reviewapp")).expanduser().absolute()
    mode = _choice(environ, "REVIEWAPP_ENV", (DEVELOPMENT, PRODUCTION), DEVELOPMENT)
    host = _text(environ, "REVIEWAPP_HOST", "127.0.0.1")
    secret_key = _secret_key(environ)
    if mode == PRODUCTION and secret_key is None:
        raise SettingError("SECRET_KEY must be set when REVIEWAPP_ENV is production.")
    return Environment(
        home=home,
        host=host,
        port=_integer(environ, "REVIEWAPP_PORT", 8000, low=1, high=65535),
        mode=mode,
        role=_choice(environ, "REVIEWAPP_ROLE", ROLES, "command"),
        demo=_switch(environ, "REVIEWAPP_DEMO", default=True),
        workers=_integer(environ, "REVIEWAPP_WORKERS", _default_workers(), low=1, high=64),
        threads=_integer(environ, "REVIEWAPP_THREADS", 4, low=2, high=64),
        allowed_hosts=_list(environ, "REVIEWAPP_ALLOWED_HOSTS"),
        trusted_origins=_origins(environ),
        log_level=_choice(environ, "REVIEWAPP_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
        storage=_storage(environ, home),
        secret_key=secret_key,
        database_url=_url(environ, "DATABASE_URL", ("postgresql", "postgres")),
        redis_url=_url(environ, "REDIS_URL", ("redis", "rediss", "unix")),
        retain_input_days=_integer(environ, "REVIEWAPP_RETAIN_INPUT_DAYS", 90, low=0, high=36_500),
        email_url=_url(environ, "REVIEWAPP_EMAIL_URL", ("smtp", "smtps", "smtp+tls")),
        email_from=_text(environ, "REVIEWAPP_EMAIL_FROM", "reviewapp@localhost"),
        webhook_hosts=_list(environ, "REVIEWAPP_WEBHOOK_HOSTS"),
        metrics_token=_text(environ, "REVIEWAPP_METRICS_TOKEN", "") or None,
    )


def kept_secret_key(home: Path) -> str:
    """The key in the home, made at the first call; several processes may make it at once."""
    path = home / "secret_key"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = home / f".secret_key.{os.getpid()}"
        if not path.exists():
            _write_private(draft, secrets.token_urlsafe(50))
            try:
                os.link(draft, path)  # fails when another process was first; its key counts
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SettingError(
            f"REVIEWAPP_HOME: the secret key in {path} cannot be kept: {error.strerror}."
        ) from error


def bracketed(host: str) -> str:
    """The host as it stands in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _default_workers() -> int:
    return min(4, os.cpu_count() or 1)


def _text(environ: Mapping[str, str], name: str, default: str) -> str:
    """The value without outer white space; an empty one counts as not set."""
    return environ.get(name, "").strip() or default


def _list(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in environ.get(name, "").split(",") if part.strip())


def _integer(environ: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    text = _text(environ, name, str(default))
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise SettingError(f"{name} must be a whole number from {low} to {high}, but it is {text!r}.")
    return value


def _switch(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = _text(environ, name, "1" if default else "0")
    if text not in ("0", "1"):
        raise SettingError(f"{name} must be 0 or 1, but it is {text!r}.")
    return text == "1"


def _choice(environ: Mapping[str, str], name: str, choices: Collection[str], default: str) -> str:
    text = _text(environ, name, default)
    if text not in choices:
        raise SettingError(f"{name} must be one of {', '.join(choices)}, but it is {text!r}.")
    return text


def _secret_key(environ: Mapping[str, str]) -> str | None:
    value = _text(environ, "SECRET_KEY", "")
    if value and len(value) < 32:
        raise SettingError(f"SECRET_KEY must have at least 32 characters, but it has {len(value)}.")
    return value or None


def _url(environ: Mapping[str, str], name: str, schemes: Collection[str]) -> str | None:
    """A URL with one of the schemes. The value itself is never shown: it may hold a password."""
    value = _text(environ, name, "")
    if not value:
        return None
    scheme, separator, _rest = value.partition("://")
    if not separator or scheme not in schemes:
        raise SettingError(f"{name} must start with {' or '.join(f'{known}://' for known in schemes)}.")
    return value


def _storage(environ: Mapping[str, str], home: Path) -> str:
    """A folder as absolute path, or the URL of an object store."""
    value = _text(environ, "REVIEWAPP_STORAGE", str(home / "storage"))
    scheme, separator, rest = value.partition("://")
    if not separator:
        return str(Path(value).expanduser().absolute())
    if scheme not in STORAGE_SCHEMES or not rest:
        known = ", ".join(f"{scheme}://" for scheme in STORAGE_SCHEMES)
        raise SettingError(f"REVIEWAPP_STORAGE must be a path or a URL with {known}, but it is {value!r}.")
    return value


def _origins(environ: Mapping[str, str]) -> tuple[str, ...]:
    origins = _list(environ, "REVIEWAPP_TRUSTED_ORIGINS")
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
            raise SettingError(
                f"REVIEWAPP_TRUSTED_ORIGINS must list origins such as https://review.example.org, not {origin!r}."
            )
    return tuple(origin.rstrip("/") for origin in origins)
