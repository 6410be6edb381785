# Each target sets up all that it needs from python3 (3.11 or newer, with venv) and make alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIT := .venv-audit
RUNTIME := $(VENV)/.runtime-ready
DEV := $(VENV)/.dev-ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes

.DEFAULT_GOAL := help

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }

$(RUNTIME): requirements.lock | $(VENV)/bin/python
	@echo "Preparing $(VENV) from requirements.lock …"
	@$(PIP) -r requirements.lock
	@touch $@

# It works in any folder (whose .env and relay.toml it then reads), also behind a symbolic link. -P: the folder that one
# happens to be in is no place to import from.
$(BIN)/relay: Makefile | $(VENV)/bin/python
	@printf '%s\n' '#!/bin/sh' 'bin=$$(dirname "$$(readlink -f "$$0")")' \
	  'PYTHONPATH="$$bin/../..$${PYTHONPATH:+:$$PYTHONPATH}" exec "$$bin/python" -P -m app "$$@"' > $@
	@chmod +x $@

$(DEV): requirements-dev.lock $(RUNTIME) | $(BIN)/relay
	@echo "Adding the tools for tests from requirements-dev.lock …"
	@$(PIP) -r requirements-dev.lock
	@touch $@

setup: $(RUNTIME) $(BIN)/relay ## prepare .venv, nothing else

demo: $(RUNTIME) $(BIN)/relay ## see the whole way: webhooks in, the reminder e-mail out (simulated Marketo, nothing leaves this machine)
	@$(BIN)/python -m app demo

run: $(RUNTIME) $(BIN)/relay ## start the relay with the settings in .env
	@$(BIN)/python -m app serve

test: $(DEV) ## run every test, with branch coverage
	@command -v haproxy >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy >/dev/null; } \
	  || echo "HAProxy is missing, so the rolling restart will be SKIPPED: apt-get install haproxy"
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest -n 3 --dist loadfile --no-loadscope-reorder --ignore=tests/browser --ignore=tests/deploy $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report --fail-under=95

test-browser: $(DEV) ## use the console in a real Chromium (Debian's; installed if it is missing)
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
	  || { echo "Chromium is missing: apt-get install chromium"; exit 1; }
	@$(BIN)/python -m pytest -n 0 tests/browser $(ARGS)

test-deploy: $(DEV) ## check deploy/ with Prometheus' and systemd's own tools (Debian's; installed if they are missing)
	@command -v promtool >/dev/null && command -v systemd-analyze >/dev/null \
	  || { apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus systemd >/dev/null; } \
	  || { echo "promtool or systemd-analyze is missing: apt-get install prometheus systemd"; exit 1; }
	@$(BIN)/python -m pytest -n 0 tests/deploy $(ARGS)

check: $(DEV) ## lint, format, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(DEV) ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(DEV) ## measure, and write bench/results.md and its plots
	@$(BIN)/python -m bench $(ARGS)

chaos: $(DEV) ## break the relay on purpose, check that nothing is lost, and write docs/promises.md (Linux, root)
	@$(BIN)/python -m tests.chaos $(ARGS)

lock: $(DEV) ## refresh the lock files (needs uv)
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header -c requirements.lock --extra otel pyproject.toml -o requirements-otel.lock
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header -c requirements.lock -c requirements-otel.lock --group dev pyproject.toml -o requirements-dev.lock
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-header -c requirements.lock -c requirements-dev.lock --group audit -o requirements-audit.lock

$(AUDIT)/.ready: requirements-audit.lock
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r requirements-audit.lock
	@touch $@

audit: $(AUDIT)/.ready ## known weaknesses of dependencies, a bill of materials of the image, secrets in the history
	@$(AUDIT)/bin/python -m audit

clean: ## remove what the targets made
	rm -rf $(VENV) $(AUDIT) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage* htmlcov

.PHONY: help setup demo run test test-browser test-deploy check format bench chaos audit lock clean
