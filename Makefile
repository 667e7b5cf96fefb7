# `make` lists the targets. Everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
RUNS := 1000
SEED := 0
SECONDS := 60
LOWEST := $(VENV)/lowest
BIN := $(VENV)/bin
# One worker per core. A module's tests share a worker, and so the servers and applications that they start.
PARALLEL := --numprocesses auto --maxprocesses 8 --dist loadscope --no-loadscope-reorder

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# Hide Material for MkDocs' banner about MkDocs 2, which does not concern our build.
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help demo unit test coverage specs check chaos fuzz load drain growth bench docs lowest clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/demo.stamp ## send signed webhooks to an example application; needs no key and no account
	@$(BIN)/python examples/demo.py

unit: $(VENV)/dev.stamp ## run the fast tests: no servers, no other processes
	$(BIN)/pytest $(PARALLEL) tests/unit

test: $(VENV)/dev.stamp ## run all tests; skip those whose servers are not installed
	$(BIN)/pytest $(PARALLEL)

coverage: $(VENV)/dev.stamp ## run all tests and require 100% branch coverage, which needs all servers
	$(BIN)/pytest $(PARALLEL) --cov

specs: $(VENV)/dev.stamp ## download the OpenAPI descriptions that may not be redistributed
	$(BIN)/python tools/specs.py $(or $(TRIAGE_SPECS),tests/specs/downloaded)

check: $(VENV)/dev.stamp ## check formatting, lint, types, imports, documentation and the built package
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mkdocs build --strict --quiet
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/python tools/check_wheel.py dist

chaos: $(VENV)/dev.stamp ## kill, stop and poison processes in RUNS runs (1000) and check that no event is lost or handled twice
	$(BIN)/python -m tests.chaos.killing --runs $(RUNS) --seed $(SEED) --inbox $(or $(INBOX),both)

fuzz: $(VENV)/fuzz.stamp ## send generated deliveries and responses of every vendor to the library, each for SECONDS (60)
	$(BIN)/python -m tests.fuzz.entry_points $(SECONDS)
	$(BIN)/python -m tests.fuzz.responses $(SECONDS)

load: $(VENV)/dev.stamp ## measure how fast the example applications answer 200 concurrent webhooks
	$(BIN)/python benchmarks/load.py --app fastapi
	$(BIN)/python benchmarks/load.py --app flask

drain: $(VENV)/dev.stamp ## measure how fast four processes route 50,000 stored events
	$(BIN)/python benchmarks/drain.py --inbox sqlite
	$(BIN)/python benchmarks/drain.py --inbox postgres

growth: $(VENV)/dev.stamp ## measure how long operations take in inboxes with up to 1,000,000 events
	$(BIN)/python -m benchmarks.growth --inbox sqlite
	$(BIN)/python -m benchmarks.growth --inbox postgres

bench: $(VENV)/bench.stamp ## compare the speed with alternatives and write docs/performance.md; QUICK=1 takes a minute
	$(BIN)/python -m benchmarks.speed $(if $(QUICK),--scale quick,--output docs/performance.md) \
		--command 'make bench$(if $(QUICK), QUICK=1)'

docs: $(VENV)/dev.stamp ## serve the documentation locally and rebuild it on every change
	$(BIN)/mkdocs serve

lowest: $(LOWEST)/test.stamp ## run the tests with the lowest dependency versions that pyproject.toml allows
	$(LOWEST)/bin/pytest $(PARALLEL) -W default

clean: ## remove everything that make created
	rm -rf $(VENV) dist site .coverage .hypothesis .mypy_cache .ruff_cache tests/specs/downloaded

# Each stamp file is newer than its prerequisites, so nothing is installed twice.

$(VENV)/demo.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/pip install --quiet --group demo --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/pip install --quiet --group dev --editable .
	@touch $@ $(VENV)/demo.stamp

$(VENV)/fuzz.stamp: $(VENV)/dev.stamp
	$(BIN)/pip install --quiet --group fuzz
	@touch $@

$(VENV)/bench.stamp: $(VENV)/dev.stamp
	$(BIN)/pip install --quiet --group bench
	@touch $@

$(LOWEST)/test.stamp: $(LOWEST)/pip.stamp pyproject.toml tools/lowest.py
	$(LOWEST)/bin/python tools/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/pip install --quiet --constraint $(LOWEST)/constraints.txt --group test --editable .
	@touch $@

%/pip.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "triage needs Python 3.11 or later, but $(PYTHON) is older. Choose another: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $*
	@# pip supports --group since 25.1.
	$*/bin/pip install --quiet --upgrade 'pip>=25.1'
	@touch $@
