"""`make check`: everything a machine can say about the code without running the tests.

Each check prints one line; a failed one prints what its tool said. All run, so that one look shows all.
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SCHEMA = PROJECT / "docs" / "openapi.yaml"


def main() -> int:
    """Run every check; 1 when one failed."""
    results = [
        _tool("format", "ruff", "format", "--check", "."),
        _tool("lint", "ruff", "check", "."),
        _tool("types", "mypy"),
        _tool("imports", "lint-imports", "--no-cache"),
        _manage("django", "check", "--fail-level", "WARNING"),
        _manage("migrations", "makemigrations", "--check", "--dry-run"),
        _templates_are_formatted(),
        _report("templates", *_templates_compile()),
        _report("openapi", *_schema_is_current()),
    ]
    return 0 if all(results) else 1


def _report(name: str, problem: str, seconds: float) -> bool:
    print(f"{'FAILED' if problem else 'ok':7}{name} ({seconds:.1f} s)", flush=True)
    if problem:
        print(problem, flush=True)
    return not problem


def _run(arguments: list[str]) -> tuple[str, float]:
    """What a command said when it failed, else nothing; and how long it took."""
    began = time.monotonic()
    outcome = subprocess.run(arguments, cwd=PROJECT, capture_output=True, text=True, check=False)
    said = (outcome.stdout + outcome.stderr).strip() or f"exit code {outcome.returncode}"
    return (said if outcome.returncode else ""), time.monotonic() - began


def _tool(name: str, program: str, *arguments: str) -> bool:
    return _report(name, *_run([str(BIN / program), *arguments]))


def _manage(name: str, *arguments: str) -> bool:
    return _report(name, *_run([sys.executable, "manage.py", *arguments]))


def _templates_are_formatted() -> bool:
    folders = [folder for folder in ("templates",) if (PROJECT / folder).is_dir()]
    if not folders:
        return True
    return all(
        [
            _tool("templates: format", "djlint", "--quiet", "--check", *folders),
            _tool("templates: lint", "djlint", "--quiet", "--lint", *folders),
        ]
    )


def _templates_compile() -> tuple[str, float]:
    """Compile each template of the project: a wrong tag must not wait for its page to be opened."""
    began = time.monotonic()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewapp.settings")
    sys.path.insert(0, str(PROJECT))
    import django
    from django.template import TemplateSyntaxError
    from django.template.loader import get_template

    django.setup()
    folder = PROJECT / "templates"
    problems = []
    for path in sorted(folder.rglob("*.*")):
        name = path.relative_to(folder).as_posix()
        try:
            get_template(name)
        except TemplateSyntaxError as error:
            problems.append(f"{name}: {error}")
    return "\n".join(problems), time.monotonic() - began


def _schema_is_current() -> tuple[str, float]:
    """Make the OpenAPI schema from the code and compare it with the one in git."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "openapi.yaml"
        command = [
            sys.executable,
            "manage.py",
            "spectacular",
            "--validate",
            "--fail-on-warn",
            "--file",
            str(made),
        ]
        problem, seconds = _run(command)
        if problem:
            return problem, seconds
        kept = SCHEMA.read_text(encoding="utf-8") if SCHEMA.exists() else ""
        lines = difflib.unified_diff(
            kept.splitlines(),
            made.read_text(encoding="utf-8").splitlines(),
            "docs/openapi.yaml",
            "the code",
            lineterm="",
        )
    difference = "\n".join(list(lines)[:60])
    return (f"{difference}\n`make schema` writes it anew" if difference else ""), seconds


if __name__ == "__main__":
    sys.exit(main())
