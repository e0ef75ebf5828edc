# The commands of the project. Everything happens inside .venv; nothing outside the checkout is changed.
#   make demo    the main job on its default: the published experiment
#   make test    the whole test suite          make check   lint, types and tests: what must pass before a merge
#   make docs    the documentation             make help    the rest
# On a machine whose python3 is too old: make PYTHON=python3.12 demo

PYTHON ?= python3
WORKERS ?= 2
PYTEST_ARGS ?=
STUDY_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := src tests examples benchmarks

.PHONY: help demo test test-fast lint format types check docs bench clean
.NOTPARALLEL:

help:
	@echo "make demo        run 'edgewise study' on the published experiment; prints the table and where the report is"
	@echo "make test        run every test ($(WORKERS) workers; PYTEST_ARGS='-k name' narrows)"
	@echo "make test-fast   run the tests that are not marked slow"
	@echo "make lint        ruff: lint and format, nothing is changed"
	@echo "make format      ruff: fix and format in place"
	@echo "make types       pyright"
	@echo "make check       lint, types and test"
	@echo "make docs        build the documentation into docs/_build/html"
	@echo "make bench       run the benchmarks in their quick form"
	@echo "make clean       remove .venv, caches and built files"

# One stamp a set-up: a second run starts at once, a changed lock or pyproject.toml installs again.

$(VENV)/.stamp-venv:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "error: $(PYTHON) was not found. edgewise needs Python 3.11 or newer: install it, or name one with 'make PYTHON=python3.12 ...'." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: edgewise needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another with 'make PYTHON=python3.12 ...'." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "error: '$(PYTHON) -m venv' failed. On Debian and Ubuntu the package python3-venv brings it." >&2; exit 1; }
	@touch $@

$(VENV)/.stamp-demo: $(VENV)/.stamp-venv requirements/lock.txt pyproject.toml
	@echo "Installing edgewise and its locked dependencies into $(VENV) ..."
	@$(PIP) install --quiet -r requirements/lock.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-venv requirements/lock-test.txt pyproject.toml
	@echo "Installing edgewise, its locked dependencies and the test tools into $(VENV) ..."
	@$(PIP) install --quiet -r requirements/lock-test.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.stamp-docs: $(VENV)/.stamp-venv requirements/lock-docs.txt pyproject.toml
	@echo "Installing edgewise and the documentation tools into $(VENV) ..."
	@$(PIP) install --quiet -r requirements/lock-docs.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/.stamp-demo
	$(BIN)/edgewise study $(STUDY_ARGS)

test: $(VENV)/.stamp-test
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

test-fast: $(VENV)/.stamp-test
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(PYTEST_ARGS)

lint: $(VENV)/.stamp-test
	$(BIN)/ruff check $(wildcard $(SOURCES))
	$(BIN)/ruff format --check $(wildcard $(SOURCES))

format: $(VENV)/.stamp-test
	$(BIN)/ruff check --fix $(wildcard $(SOURCES))
	$(BIN)/ruff format $(wildcard $(SOURCES))

types: $(VENV)/.stamp-test
	$(BIN)/pyright

check: lint types test

docs: $(VENV)/.stamp-docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.stamp-test
	$(BIN)/python -m benchmarks --quick

clean:
	rm -rf $(VENV) docs/_build build dist .pytest_cache .ruff_cache .hypothesis
	find src tests examples benchmarks docs -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
