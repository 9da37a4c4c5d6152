# Everything a person or CI runs. `make` alone lists the targets.
# Variables: AUTO=1 STATS=1 SCENARIO=… DEMO_MINUTES=… for demo; STACK_PORT_BASE, STACK_DIR, APPROVALS=entra for the stack.

.DEFAULT_GOAL := help
ifndef SUITES
.NOTPARALLEL:
endif
.PHONY: help setup demo up down status lint format types test test-unit test-contract test-browser test-e2e test-chaos chaos docs requirements screenshots chromium fuzz simulate mutants tools options ports

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Contract suites mostly wait for their stand-ins: more workers than cores pay. The two of Azure ML lead their whole
# process to a stand-in of their own, so neither shares one with anybody.
CONTRACT := $(PYTEST) -n 3 --dist loadscope
# They wait as much as they compute, and none knows another's ports.
SUITES_LONGEST_FIRST := test-e2e test-unit test-contract test-chaos lint test-browser
PYTHON_READY := .venv/.ready
NODE_READY := node_modules/.ready

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: $(PYTHON_READY) $(NODE_READY) ## Create .venv and install the pinned packages

demo: options ports setup ## Start the stack and take one release through it (AUTO=1 answers the gates itself)
	@$(BIN)/python -m local demo

up: ports setup ## Start the stack in the background
	@$(BIN)/python -m local up

down: ## Stop the stack
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local down; else echo "Nothing is installed, so nothing runs."; fi

status: setup ## Say what runs
	@$(BIN)/python -m local status

test: setup chromium ## Everything CI runs before its demo: two suites at a time, each tells when it has ended
	@echo "== all suites, two at a time, about six minutes: $(SUITES_LONGEST_FIRST)"
	@$(MAKE) --no-print-directory --jobs 2 --keep-going --output-sync=target SUITES=together $(SUITES_LONGEST_FIRST)
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

simulate: setup ## Seeded runs under faults (SEEDS=2000 FIRST=0 NETS=all PROFILE=…); a violation prints its seed and schedule
	@$(BIN)/python -m tests.simulation --seeds "$(or $(SEEDS),300)" --first "$(or $(FIRST),0)" --nets "$(or $(NETS),all)" \
		$(if $(PROFILE),--profile "$(PROFILE)")

mutants: setup ## Switch on each deliberate defect: the simulation must catch it (ONLY=part of a name); writes its rows of docs/reliability.md
	@$(BIN)/python -m tests.simulation.mutants --only "$(ONLY)" --write docs/reliability.md

test-contract: setup ## Each port on its fake and on the real SDK; each stand-in against the real SDK
	@echo "== contract tests"
	@$(CONTRACT) --ignore tests/contract/azure_ml_stand_in --ignore tests/contract/model_gateway tests/contract
	@$(PYTEST) -n 2 --dist loadscope tests/contract/azure_ml_stand_in
	@$(PYTEST) -n 2 --dist loadscope tests/contract/model_gateway

fuzz: setup ## Many more generated requests than `make test` sends (EXAMPLES=300 per operation)
	@FUZZ_EXAMPLES=$(or $(EXAMPLES),300) $(PYTEST) --timeout 3600 tests/contract/approvals/test_openapi_fuzz.py

test-browser: setup chromium ## Pages in Chromium, without script; axe finds nothing
	@echo "== browser tests"
	@$(PYTEST) tests/browser

test-e2e: setup ## Whole releases on a stack of their own
	@echo "== end-to-end tests"
	@$(PYTEST) tests/e2e

test-chaos: setup ## Twelve circuits go live while the parts of their stack are ended
	@echo "== chaos"
	@$(PYTEST) tests/chaos

chaos: setup ## Fifty circuits while the host is killed every 2-10 s (SEED=1); prints what was killed, redelivered, swept
	@$(BIN)/python -m tests.chaos --circuits "$(or $(CIRCUITS),50)" --seed "$(or $(SEED),1)"

docs: setup ## Write the documents that are generated from the code
	@$(BIN)/python -m tools.document

requirements: setup ## Write docs/requirements.md: each requirement and the tests that name it
	@$(BIN)/python -m tools.document requirements.md
	@$(BIN)/python -m tools.requirements

screenshots: setup chromium ## Render every page, mail and card into docs/images
	@$(BIN)/python -m tests.browser.screenshots

chromium:
	@local/chromium.sh

tools:
	@local/preflight.sh tools

options: tools
	@local/preflight.sh options

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
