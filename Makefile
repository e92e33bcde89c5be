# Everything that this project can do, by name. Needs python3 (3.11 or later, with venv) and make; installs the rest into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKSPACE ?= workspace
HOST ?= 127.0.0.1
PORT ?= 8501
# Rooms that are functions of their input. Left out: the engines that ours is compared with, which take seconds to import, and the
# pages of reports in a browser.
QUICK := tests/market tests/engine tests/strategy tests/orders tests/backtest tests/test_amounts.py tests/deployment/test_schedule.py \
	tests/deployment/test_status.py tests/deployment/test_opinion.py tests/dashboard/test_format.py tests/dashboard/test_figures.py \
	--ignore-glob='*/test_against_*.py' --ignore-glob='*_browser.py' -k "not postgresql"

.PHONY: help run test quick check crash chaos bench soak browser lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Serve the dashboard with sample data on http://127.0.0.1:8501
	@$(BIN)/algo-py init $(WORKSPACE)
	@$(BIN)/algo-py --workspace $(WORKSPACE) up --host $(HOST) --port $(PORT)

test: check browser ## Run all checks and all tests
	@CHROMIUM="$$(cat $(VENV)/chromium)" $(BIN)/python -m pytest

quick: $(VENV)/.dev ## Run the tests of the pure rooms in under a minute: no browser, no PostgreSQL, no deployments
	@$(BIN)/python -m pytest $(QUICK)

check: $(VENV)/.dev ## Run the linters, the type checker and the import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@tail -n 4 $(VENV)/imports.log

crash: $(VENV)/.dev ## Kill processes at every step and at random for long: over 5,000 deaths of orders and positions, a minute of the store
	@ALGO_PY_CRASH_SEEDS=$${ALGO_PY_CRASH_SEEDS:-60} ALGO_PY_PHASE_ORDERS=$${ALGO_PY_PHASE_ORDERS:-10000} ALGO_PY_CRASH_SECONDS=60 $(BIN)/python -m pytest -n 2 --dist load -rP \
		tests/oms/test_every_step.py tests/deployment/test_every_step_of_a_position.py \
		tests/deployment/test_fork_server.py tests/finstore/test_processes.py \
		tests/oms/test_zerodha_phases.py > $(VENV)/crash.log; \
		code=$$?; test $$code = 0 || cat $(VENV)/crash.log; grep -E '^(deaths|orders): ' $(VENV)/crash.log; \
		awk '/^deaths: / { all += $$2 } END { print all " deaths of orders and positions" }' $(VENV)/crash.log; exit $$code

chaos: $(VENV)/.dev ## Kill, freeze, fill and set back everything at random for five minutes, then ask whether all is true (`make test` does so for seconds)
	@ALGO_PY_CHAOS_SECONDS=$${ALGO_PY_CHAOS_SECONDS:-300} ALGO_PY_CHAOS_SEED=$${ALGO_PY_CHAOS_SEED:-$$(date +%s)} $(BIN)/python -m pytest -n 0 -s tests/deployment/test_chaos.py

bench: $(VENV)/.dev ## Measure speed and memory against the references, in one run
	@$(BIN)/python -m benchmarks

soak: $(VENV)/.dev ## Run a hundred deployments at once for ten minutes and measure them (SECONDS=60 for less)
	@$(BIN)/python -m benchmarks.hundred $(SECONDS)

browser: $(VENV)/.dev ## Find or install the Chromium that the browser tests use
	@scripts/ensure-chromium $(VENV)

lock: $(VENV)/.dev ## Resolve requirements/*.in anew into the lock files (needs uv on the PATH)
	@scripts/lock

clean: ## Remove what was installed and cached; workspaces stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.run: requirements/run.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Algo.Py needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another one with: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); the first time takes about a minute."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/run.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "Compiling the engine, once."
	@$(BIN)/python -m algo_py.engine.warm_up
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.lock
	@touch $@
