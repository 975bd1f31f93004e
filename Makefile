SHELL := /bin/bash
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON := $(or $(PYTHON),$(shell for name in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$name $(NEW_ENOUGH) 2>/dev/null && command -v $$name && break; done))
VENV := .venv/bin
HOUSE := $(VENV)/python -m supervisor
UV := $(or $(shell command -v uv),$(VENV)/uv)
COMPILE := $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal
PACKAGES := apps tradingops simexchange supervisor
CHECKS := style format types layers migrations deployment

.PHONY: help run test check bench chaos mutants reset requirements packages dev-packages python $(CHECKS)

help: ## show this
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

run: packages ## start everything: PORT=8000 HOST=127.0.0.1 DEMO=1; Ctrl-C stops it
	@exec $(HOUSE) run

test: dev-packages ## all checks and all tests; ARGS="-k word" for some
	@$(MAKE) --no-print-directory check; checked=$$?; \
	$(VENV)/python -m pytest -n 2 --dist loadgroup $(ARGS) && exit $$checked

check: dev-packages ## style, types, layers, migrations, deployment; no tests
	@exec $(HOUSE) with-services -- $(MAKE) --no-print-directory --keep-going $(CHECKS)

bench: dev-packages ## measure the desk on a house of its own: ARGS="--quick"; a few minutes
	@exec $(VENV)/python -m tests.bench $(ARGS)

chaos: dev-packages ## prove that no order is lost or doubled: ORDERS=2000 SEED=1; ARGS="--minutes 10"
	@exec $(VENV)/python -m tests.chaos --orders $(or $(ORDERS),2000) --seed $(or $(SEED),1) $(ARGS)

mutants: dev-packages ## prove that the proof catches bugs: a house for each; a quarter of an hour
	@exec $(VENV)/python -m tests.chaos.mutants $(ARGS)

reset: python ## forget the database, the queue, the secrets and the logs
	@$(PYTHON) -m supervisor reset

requirements: ## pin again what requirements*.in ask for
	@$(UV) --version >/dev/null || { echo "uv is needed: $(VENV)/python -m pip install uv"; exit 1; }
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt

packages: python
	@$(PYTHON) supervisor/install.py run

dev-packages: python
	@$(PYTHON) supervisor/install.py dev

python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt install python3 python3-venv"; exit 1; }

# The single checks: they need a database and a queue, which `make check` gives them.
style:
	@$(VENV)/ruff check --quiet .

format:
	@$(VENV)/ruff format --quiet --check .

types:
	@$(VENV)/mypy --no-error-summary $(PACKAGES)

layers:
	@$(VENV)/lint-imports --no-cache | tail -n 20; exit $${PIPESTATUS[0]}

migrations:
	@$(VENV)/python manage.py makemigrations --check --dry-run

deployment:
	@BEHIND_TLS=True $(VENV)/python manage.py check --deploy --fail-level WARNING
