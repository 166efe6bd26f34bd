# Every target sets itself up: a fresh clone needs make and a Python of at least 3.11, nothing else. The tests install
# the Debian packages that they need beyond, where that is permitted (.ci/packages).
# pip's own environment (PIP_INDEX_URL, PIP_CONFIG_FILE, PIP_FIND_LINKS and so on) is left as it is.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
REPORT := build/demo/report.json
# One more than the cores of a small machine: many tests wait for other processes.
WORKERS ?= 3

# The first interpreter that is new enough; PYTHON=... chooses another.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	command -v "$$name" >/dev/null 2>&1 \
	&& "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { command -v "$$name"; break; }; done)

.PHONY: help setup demo serve test check bench console-assets test-spark nightly clean

help:  ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "A Python of at least 3.11 is needed; name it with PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

# The stamps are older than these files exactly when an installation is due.
$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dp]' --constraint constraints.txt
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]' --constraint constraints.txt
	@touch $(VENV)/.runtime $@

setup: $(VENV)/.dev  ## Make .venv with everything that work on the platform needs

demo: $(VENV)/.runtime  ## Ask the demonstration's questions; writes build/demo/report.json
	$(BIN)/middleplatform demo --report $(REPORT)
	@echo "To go on in a browser (在浏览器中继续): make serve"

serve: $(VENV)/.runtime  ## Serve the console and the HTTP API on the demonstration's departments
	$(BIN)/middleplatform serve

test: $(VENV)/.dev  ## Run all tests
	.ci/packages
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev  ## Format, lint, types, layers, spelling
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: $(VENV)/.dev  ## Run every benchmark, one after the other
	$(BIN)/python -m benchmarks.run

# The built scripts are committed; only who changes their sources needs npm (Node 20 or later). The lock file names
# versions and digests, and no address: npm asks the registry that it is set to.
ASSETS := middleplatform/web/console/assets

console-assets:  ## Build the console's scripts anew from their sources
	@command -v npm >/dev/null || { echo "Node 20 or later with npm is needed" >&2; exit 1; }
	rm -rf build/console-assets && mkdir -p build && cp -r $(ASSETS) build/console-assets
	cd build/console-assets && npm ci --ignore-scripts --no-audit --no-fund
	cd build/console-assets && node build.mjs $(abspath $(ASSETS)/../static)

# Apache Spark itself, from its own distribution (about 900 MB) and in an environment of its own: it and the client
# that the platform uses are both called pyspark. Needs Java 17 or later.
SPARK_VERSION ?= 4.3.0
SPARK_VENV := build/spark-venv

$(SPARK_VENV)/.pyspark-$(SPARK_VERSION): | $(BIN)/python
	$(BIN)/python -m venv $(SPARK_VENV)
	$(SPARK_VENV)/bin/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt \
		'pyspark==$(SPARK_VERSION)' cryptography numpy pandas pyarrow
	@touch $@

test-spark: $(VENV)/.dev $(SPARK_VENV)/.pyspark-$(SPARK_VERSION)  ## Test the Spark connector on an Apache Spark cluster on this machine
	@java -version 2>/dev/null || { echo "Java 17 or later is needed" >&2; exit 1; }
	MIDDLEPLATFORM_TEST_SPARK_HOME="$$($(SPARK_VENV)/bin/python -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')" \
		$(BIN)/python -m pytest tests/spark -n 0

nightly: check  ## Checks, then the tests with many new random examples and every benchmark
	.ci/packages
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
	@$(MAKE) --no-print-directory bench

clean:  ## Remove what was built; .venv and var stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
