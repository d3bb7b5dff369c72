"""The file by which a program on this machine gets into the embedded instance."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path


class NoCredentialsError(Exception):
    """There is no usable credentials file; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Where the instance is, and how its administrator signs in."""

    url: str
    username: str
    password: str
    api_key: str


def read_credentials(path: Path) -> Credentials:
    """The credentials in the file, or NoCredentialsError."""
    try:
        return Credentials(**json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise NoCredentialsError(
            f"{path} cannot be read ({error.strerror}). Is the instance running?"
        ) from error
    except (ValueError, TypeError) as error:
        raise NoCredentialsError(f"{path} is not a credentials file.") from error


def write_credentials(path: Path, credentials: Credentials) -> None:
    """Put the file in place whole, readable by its owner alone at every moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(asdict(credentials), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
