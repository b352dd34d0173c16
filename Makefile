PYTHON ?= python3
COMPILE = .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock"
# Tests start hundreds of processes: where this is set, each compiles the package for itself.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up down status test check proofs release lock help

up: .venv/installed  ## Start API, PostgreSQL, Prometheus, Locust and Grafana
	.venv/bin/swarmscope up

down: .venv/installed  ## Stop what `up` started; data is kept
	.venv/bin/swarmscope down

status: .venv/installed  ## Show what is running, and where
	.venv/bin/swarmscope status

test: .venv/schemas  ## Lint, import laws, types and every test that CI runs
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/lint-imports --no-logo --no-cache && .venv/bin/mypy && .venv/bin/pytest -n 6 --no-loadscope-reorder -m "not proof"

check: .venv/installed  ## Lint, import laws and types only, in seconds
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/lint-imports --no-logo --no-cache && .venv/bin/mypy

proofs: .venv/installed  ## What takes longer, before a release: full-length faults, versions, searches (see CONTRIBUTING.md)
	.venv/bin/pytest -m proof

release: .venv/installed  ## Build sdist and wheel of HEAD, check them, and try the wheel from nothing
	.ci/release

lock: .venv/installed  ## Rewrite the lock files from pyproject.toml
	$(COMPILE) --all-extras --group dev -o requirements.lock pyproject.toml
	$(COMPILE) --extra image --group build -c requirements.lock -o requirements.image.lock pyproject.toml
	$(COMPILE) --group schemas -c requirements.lock -o requirements.schemas.lock

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/'

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed; name one with PYTHON=PATH")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q --require-hashes -r requirements.lock
	.venv/bin/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

.venv/schemas: .venv/installed requirements.schemas.lock
	.venv/bin/pip install -q --require-hashes -r requirements.schemas.lock
	@touch $@
