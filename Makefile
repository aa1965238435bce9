# Needs Python 3.11 or newer, make and a package index; everything else is set up here.

PYTHON ?= python3
VENV := .venv
CONSTRAINTS := constraints.txt
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
INDEX := .agentkit/demo
ASK := $(BIN)/agentkit ask --index $(INDEX)

.DEFAULT_GOAL := help
.PHONY: help demo test test-lowest extras lint format docs bench notebooks first-hour studio view constraints clean

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.demo ## Answer questions about the example documents with the embedded model
	@echo; echo '$$ agentkit ingest examples/documents'
	@$(BIN)/agentkit ingest examples/documents --index $(INDEX)
	@echo; echo '$$ agentkit ask "How long may I keep a book?"'
	@$(ASK) "How long may I keep a book?"
	@echo; echo '$$ agentkit ask "What does a colour print cost?" --graph fusion_rag'
	@$(ASK) "What does a colour print cost?" --graph fusion_rag
	@echo; echo '$$ agentkit ask "May I bring my dog?" --graph hyde_rag'
	@$(ASK) "May I bring my dog?" --graph hyde_rag

test: $(VENV)/.test ## Run the tests
	$(BIN)/pytest -n auto $(ARGS)

test-lowest: ## Run the tests with the lowest versions of the dependencies
	$(PYTHON) scripts/lowest_versions.py > .lowest.txt
	$(MAKE) test VENV=.venv-lowest CONSTRAINTS=.lowest.txt

extras: ## Install the wheel with each extra alone, and use it (half an hour)
	$(PYTHON) scripts/extras.py $(ARGS)

lint: $(VENV)/.lint ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.lint ## Format the code
	$(BIN)/ruff check --fix --select I,F401
	$(BIN)/ruff format

docs: $(VENV)/.docs ## Build the documentation's site, in build/docs
	$(BIN)/sphinx-build -n -W --keep-going -q docs build/docs

bench: $(VENV)/.test ## Run the benchmarks that need no data and no key
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.latency

notebooks: $(VENV)/.test ## Run the notebooks and keep their outputs
	$(BIN)/python scripts/notebooks.py

first-hour: $(VENV)/.test ## Walk through a newcomer's first hour on the embedded models
	$(BIN)/python scripts/first_hour.py

studio: $(VENV)/.test ## Serve the graphs for LangGraph Studio, on this machine only
	$(BIN)/langgraph dev --no-browser

view: $(VENV)/.test ## Serve a page to talk to the graphs, on this machine only
	$(BIN)/agentkit view

constraints: ## Pin the newest versions that fit together
	rm -rf .venv-constraints
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/pip install --quiet --upgrade pip
	.venv-constraints/bin/pip install --quiet --editable '.[all]' --group test --group lint --group bench --group docs --group examples
	.venv-constraints/bin/pip freeze --exclude-editable > constraints.txt
	rm -rf .venv-constraints

clean: ## Remove what was set up and built
	rm -rf .venv .venv-* .lowest.txt .agentkit .langgraph_api .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One virtual environment; a stamp for each set of dependencies in it.
$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	@touch $@

$(VENV)/.demo: $(VENV)/.venv pyproject.toml $(CONSTRAINTS)
	$(PIP) --editable '.[index,ingest,local]'
	$(BIN)/agentkit local install --yes
	@touch $@

$(VENV)/.test: $(VENV)/.venv pyproject.toml $(CONSTRAINTS)
	$(PIP) --editable '.[all]' --group test --group bench --group examples
	$(BIN)/agentkit local install --yes
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(PIP) --group lint
	@touch $@

$(VENV)/.docs: $(VENV)/.venv pyproject.toml $(CONSTRAINTS)
	$(PIP) --editable '.[all]' --group docs
	@touch $@
