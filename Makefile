# Every target makes what it needs: nothing is installed by hand.
#   make demo       real data through functions made for it
#   make test       the tests
#   make check      style, types, imports and test: what CI runs; each is a target of its own
#   make test-aws-fake  the whole way on AWS in an account on this machine: a part of the tests
#   make chaos      a million tasks under faults, in some minutes
#   make test-all   the tests on every Python minor that starts here
#   make format     put the code into its form

PYTHON ?= python3
VENV   ?= .venv
TESTS  ?= tests

# Processes that run the tests beside the first, each the files that are left: many tests wait for what they have started.
PROCESSES ?= 2

BIN  := $(VENV)/bin
DEMO := $(VENV)/.demo-installed
DEV  := $(VENV)/.dev-installed
CODE := $(wildcard graphlambda tests benchmarks demo)

.PHONY: demo check style types imports test test-aws-fake chaos test-all format clean
.DELETE_ON_ERROR:

demo: $(DEMO)
	$(BIN)/python -m demo

check: style types imports test

style: $(DEV)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

types: $(DEV)
	$(BIN)/mypy

imports: $(DEV)
	$(BIN)/lint-imports

test: $(DEV)
	$(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=loadfile $(TESTS)

test-aws-fake: $(DEV)
	$(BIN)/python -m pytest tests/fake

chaos: $(DEV)
	$(BIN)/python -m benchmarks.chaos

test-all:
	.ci/test-all

format: $(DEV)
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

clean:
	rm -rf .venv .venv-3.* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# uv installs in a third of pip's time. It does not read pip's settings: where those are needed, pip does it (from 25.1 on,
# which reads dependency groups).
UV      = $(BIN)/python -m pip install --quiet uv && $(BIN)/uv pip install --quiet --python $(BIN)/python
PIP     = $(BIN)/python -m pip install --quiet 'pip>=25.1' && $(BIN)/python -m pip install --quiet
INSTALL = install() { $(UV) "$$@" || { $(PIP) "$$@"; }; }; install --editable .

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(DEMO): pyproject.toml | $(BIN)/python
	$(INSTALL) --group demo
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(INSTALL) --group demo --group test --group bench --group lint
	@touch $@ $(DEMO)
