# Everything a person or CI runs. `make` alone lists the targets.
# Variables: AUTO=1 STATS=1 SCENARIO=… DEMO_MINUTES=… for demo; STACK_PORT_BASE and STACK_DIR for the stack.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo up down status lint format types test test-unit test-contract test-browser test-e2e docs screenshots chromium simulate mutants tools ports

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Contract suites mostly wait for their stand-ins: more workers than cores pay. The two of Azure ML lead their whole
# process to a stand-in of their own, so neither shares one with anybody.
CONTRACT := $(PYTEST) -n 3 --dist loadscope
PYTHON_READY := .venv/.ready
NODE_READY := node_modules/.ready

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: $(PYTHON_READY) $(NODE_READY) ## Create .venv and install the pinned packages

demo: ports setup ## Start the stack and take one release through it (AUTO=1 answers the gates itself)
	@$(BIN)/python -m local demo

up: ports setup ## Start the stack in the background
	@$(BIN)/python -m local up

down: ## Stop the stack
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local down; else echo "Nothing is installed, so nothing runs."; fi

status: setup ## Say what runs
	@$(BIN)/python -m local status

test: lint test-unit test-contract test-browser test-e2e ## Everything CI runs before its demo
	@echo "All tests passed."

lint: setup ## Format, lint, types and import contracts, as CI checks them
	@echo "== format and lint"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@echo "== types"
	@$(BIN)/mypy
	@echo "== import contracts"
	@$(BIN)/lint-imports

format: setup ## Rewrite the code as `make lint` wants it
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: setup ## mypy alone
	@$(BIN)/mypy

test-unit: setup ## Fast tests without a stack
	@echo "== unit tests"
	@$(PYTEST) -n 2 $(wildcard tests/unit tests/architecture tests/simulation)

simulate: setup ## Seeded runs under faults (SEEDS=2000 FIRST=0 NETS=all); a violation prints its seed
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),300) --first $(or $(FIRST),0) --nets $(or $(NETS),all)

test-contract: setup ## Each port on its fake and on the real SDK; each stand-in against the real SDK
	@echo "== contract tests"
	@$(CONTRACT) --ignore tests/contract/azure_ml_stand_in --ignore tests/contract/model_gateway tests/contract
	@$(CONTRACT) tests/contract/azure_ml_stand_in
	@$(CONTRACT) tests/contract/model_gateway

test-browser: setup chromium ## Pages in Chromium, without script; axe finds nothing
	@echo "== browser tests"
	@$(PYTEST) tests/browser

test-e2e: setup ## Whole releases on a stack of their own
	@echo "== end-to-end tests"
	@$(PYTEST) tests/e2e

docs: setup ## Write the documents that are generated from the code
	@$(BIN)/python -m tools.document

screenshots: setup chromium ## Render every page, mail and card into docs/images
	@$(BIN)/python -m tests.browser.screenshots

chromium:
	@local/chromium.sh

tools:
	@local/preflight.sh tools

ports: tools
	@local/preflight.sh ports

$(PYTHON_READY): requirements.txt requirements-dev.txt .python-version | tools
	@echo "== Python packages (a minute or two, once)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 && [ "$$(local/preflight.sh python)" -ef $(BIN)/python ] \
		|| "$$(local/preflight.sh python)" -m venv --clear .venv
	@$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(NODE_READY): package.json package-lock.json | tools
	@echo "== npm packages (once)"
	@npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
