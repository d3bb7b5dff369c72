# Every command does its own set-up; a machine needs Python >= 3.11 and make. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist worksteal
BESIDE := $(BIN)/python -m reviewapp.stack.testing

RUN_NEEDS := $(STAMPS)/run
ifneq ($(REVIEWAPP_DEMO),0)
RUN_NEEDS += $(STAMPS)/demo
endif
# Tests and checks look at the demo's code too.
DEV_NEEDS := $(STAMPS)/run $(STAMPS)/demo $(STAMPS)/dev $(STAMPS)/npm

.PHONY: help trust-life run test test-fast bench bench-quick chaos soak fuzz check format demo screenshots schema requirements clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN_NEEDS) ## start everything; Ctrl-C stops it
	@exec $(BIN)/python -m reviewapp.stack run

demo: $(RUN_NEEDS) $(STAMPS)/demo ## (re)create the demo on the running instance
	@exec $(BIN)/python manage.py demo --recreate

screenshots: $(DEV_NEEDS) ## take the README's pictures from an instance of their own (needs chromium)
	@exec $(BIN)/python tools/screenshots.py $(ARGS)

test: $(DEV_NEEDS) ## all tests, on every core, with servers of their own (ARGS=... goes to pytest)
	@exec $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-fast: $(DEV_NEEDS) ## the tests that are not marked slow
	@exec $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow and not browser" $(ARGS)

chaos: $(DEV_NEEDS) ## kill, pause and cut a loaded instance and check what it promised (FAULTS=12 SEED= ONLY= MINUTES=)
	@CHAOS_KEEP="$(CHAOS_KEEP)" FAULTS="$(FAULTS)" SEED="$(SEED)" ONLY="$(ONLY)" MINUTES="$(MINUTES)" exec $(BIN)/python -m tests.chaos

soak: $(DEV_NEEDS) ## a quarter of a million requests, after which the web workers are no larger (REQUESTS=40000 in each of six rounds)
	@REQUESTS="$(or $(REQUESTS),40000)" exec $(BIN)/python -m pytest -n 0 tests/stack/test_memory.py $(ARGS)

fuzz: $(DEV_NEEDS) ## send the API what its schema allows and forbids, more of it than the tests do (EXAMPLES=100 for each operation)
	@EXAMPLES="$(or $(EXAMPLES),100)" exec $(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/api/test_schema.py $(ARGS)

bench: $(DEV_NEEDS) ## the benchmarks, on an instance of their own (ARGS=--only=NAME,...)
	@exec $(BIN)/python -m bench $(ARGS)

bench-quick: $(DEV_NEEDS) ## the same with small sizes, in a minute and a half
	@exec $(BIN)/python -m bench --quick $(ARGS)

trust-life: $(DEV_NEEDS) ## a whole life of earned autonomy over HTTP, about ten minutes (DATA=folder of replay files)
	@exec $(BIN)/python -m tests.trust.life $(DATA) $(ARGS)

check: $(DEV_NEEDS) ## format, lint, types, import contract, templates, migration and OpenAPI drift
	@exec $(BESIDE) $(BIN)/python tools/check.py

format: $(DEV_NEEDS) ## rewrite code and templates in the agreed format
	@$(BIN)/ruff check --quiet --fix-only . && $(BIN)/ruff format --quiet .
	@test ! -d templates || $(BIN)/djlint --quiet --reformat templates || true

schema: $(DEV_NEEDS) ## write docs/openapi.yaml from the code
	@exec $(BESIDE) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

requirements: $(STAMPS)/dev ## compile requirements*.in into requirements*.txt (ARGS=--upgrade for newer versions)
	@exec tools/compile_requirements.sh $(ARGS)

clean: ## remove what the commands above made, except the instance's own data
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "reviewapp: Python 3.11 or later is needed; name one with PYTHON=/path/to/python3." >&2; exit 2; }
	@echo "Making the virtual environment in $(VENV)"
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) \
		|| { echo "reviewapp: $(PYTHON) cannot make virtual environments; install its venv module (Debian: python3-venv)." >&2; exit 2; }
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: requirements.txt $(STAMPS)/venv
	@echo "Installing the product's packages (once, about a minute)"
	@$(PIP) -r requirements.txt
	@touch $@

$(STAMPS)/demo: requirements-demo.txt $(STAMPS)/run
	@echo "Installing the demo's packages"
	@$(PIP) -r requirements-demo.txt
	@touch $@

$(STAMPS)/dev: requirements-dev.txt $(STAMPS)/run
	@echo "Installing the packages of tests and checks"
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(STAMPS)/npm: package.json package-lock.json $(STAMPS)/dev
	@mkdir -p $(VENV)/npm && cp package.json package-lock.json $(VENV)/npm/
	@tools/npm.sh $(VENV)/npm ci >/dev/null
	@touch $@
