#!/usr/bin/env bash
# Compiles requirements*.in into requirements*.txt: hashes, Linux and macOS, Python 3.11 and later.
# The answers name no download address, so the files work behind any mirror.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    "${UV:-.venv/bin/uv}" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" \
        --output-file "$1.txt" "$1.in" "${@:2}"
}

compile requirements "$@"
compile requirements-demo "$@"
compile requirements-dev "$@"
tools/npm.sh . install --package-lock-only --omit-lockfile-registry-resolved
