# `make` tells what there is. All that it installs goes into .venv here.

PYTHON ?= python3
VENV := .venv
RUNS := 1000
SEED := 0
SECONDS := 60
LOWEST := $(VENV)/lowest
BIN := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# It asks another project's users to choose sides; our build has nothing to say to that.
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check chaos fuzz load drain docs lowest clean

help: ## tell what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/demo.stamp ## see it work: signed webhooks through an example application; needs no key and no account
	@$(BIN)/python examples/demo.py

test: $(VENV)/dev.stamp ## run all tests, with 100 % of the branches covered
	$(BIN)/pytest --cov --numprocesses 2 --dist loadscope

check: $(VENV)/dev.stamp ## check format, lint, types, imports, documentation and the built package
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mkdocs build --strict --quiet
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/python tools/check_wheel.py dist

chaos: $(VENV)/dev.stamp ## kill processes with signal 9 in RUNS runs (1000), and see that nothing is lost or done twice
	$(BIN)/python -m tests.chaos.killing --runs $(RUNS) --seed $(SEED) --inbox $(or $(INBOX),both)

fuzz: $(VENV)/fuzz.stamp ## send made-up deliveries to every door for SECONDS (60), and see that none gets in or crashes it
	$(BIN)/python -m tests.fuzz.entry_points $(SECONDS)

load: $(VENV)/dev.stamp ## measure how fast the example applications answer 200 webhooks at once
	$(BIN)/python benchmarks/load.py --app fastapi
	$(BIN)/python benchmarks/load.py --app flask

drain: $(VENV)/dev.stamp ## measure how fast four processes route 50,000 stored events
	$(BIN)/python benchmarks/drain.py --inbox sqlite
	$(BIN)/python benchmarks/drain.py --inbox postgres

docs: $(VENV)/dev.stamp ## show the documentation on a local port, and rebuild it as it changes
	$(BIN)/mkdocs serve

lowest: $(LOWEST)/test.stamp ## run the tests with the lowest versions of the dependencies that pyproject.toml allows
	$(LOWEST)/bin/pytest --numprocesses 2 --dist loadscope -W default

clean: ## remove all that make has made
	rm -rf $(VENV) dist site .coverage .hypothesis .mypy_cache .ruff_cache

# A stamp is newer than what it was made from, so nothing is installed twice.

$(VENV)/demo.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/pip install --quiet --group demo --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/pip install --quiet --group dev --editable .
	@touch $@ $(VENV)/demo.stamp

$(VENV)/fuzz.stamp: $(VENV)/dev.stamp
	$(BIN)/pip install --quiet --group fuzz
	@touch $@

$(LOWEST)/test.stamp: $(LOWEST)/pip.stamp pyproject.toml tools/lowest.py
	$(LOWEST)/bin/python tools/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/pip install --quiet --constraint $(LOWEST)/constraints.txt --group test --editable .
	@touch $@

%/pip.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "This needs Python 3.11 or later, and $(PYTHON) is not. Name one: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $*
	@# --group came with pip 25.1.
	$*/bin/pip install --quiet --upgrade 'pip>=25.1'
	@touch $@
