# Two commands do everything: `make demo` and `make test`. Needs python3.11+, its venv module, make and git.
.DEFAULT_GOAL := help
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON      ?= python3
VENV        ?= .venv
BIN         := $(VENV)/bin
READY       := $(VENV)/.ready
# Apache Spark is large, and is tested only where there is Java: a stage of its own.
SPARK_READY := $(if $(shell command -v java 2>/dev/null),$(VENV)/.ready-spark)
DEMO_HOME   ?= .demo
# Hundreds of processes start in the tests: none of them should compile what another has compiled.
unexport PYTHONDONTWRITEBYTECODE
# A file stays together, so that what it sets up (a server, Spark, a browser) is set up once; files go
# in order, for the long ones have few tests and would come last.
# One process more than there are cores: many tests wait for others that they have killed.
IN_PARALLEL := -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --dist loadfile --no-loadscope-reorder

.PHONY: help
help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# The stamp is touched last, so a set-up that was cut off starts again.
$(READY): requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/bootstrap.txt requirements/dev.txt \
	  || $(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src
	touch $@

$(VENV)/.ready-spark: $(READY) requirements/spark.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/spark.txt \
	  || $(BIN)/python -m pip install --quiet --require-hashes -r requirements/spark.txt
	touch $@

.PHONY: setup
setup: $(READY)  ## make the virtual environment, or repair it

.PHONY: demo
demo: $(READY)  ## set up, then run the main job against the built-in sandbox
	GRABIENT_OPS_HOME=$(DEMO_HOME) $(BIN)/grabient-ops demo $(ARGS)

# Pages are looked at with the system's Chromium. Where it may not be installed, their tests say so.
.PHONY: browser
browser:
	@for name in chromium chromium-browser google-chrome-stable google-chrome; do \
	  if command -v $$name >/dev/null; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends \
	    chromium fonts-noto-color-emoji fonts-wqy-zenhei >/dev/null || true; fi

.PHONY: test
test: $(READY) $(SPARK_READY) browser  ## set up, then run the tests, every home on SQLite
	$(BIN)/python -m pytest $(IN_PARALLEL) $(ARGS)

.PHONY: test-postgres
test-postgres: $(READY) $(SPARK_READY) browser  ## the same tests, every home on a PostgreSQL server
	$(BIN)/python -m pytest $(IN_PARALLEL) --database postgresql $(ARGS)

.PHONY: lint
lint: $(READY) $(SPARK_READY)  ## formatting, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: check
check: lint test test-postgres  ## everything CI checks, but for `make audit`

.PHONY: torture
torture: $(READY)  ## every fault, every bad day, many kills; writes docs/reliability.md
	$(BIN)/python -m benchmarks.torture $(ARGS)

.PHONY: bench
bench: $(READY)  ## speed as ratios; writes docs/benchmarks.md
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/bench.txt
	$(BIN)/python -m benchmarks.run $(ARGS)

.PHONY: screenshots
screenshots: $(READY) browser  ## pictures of every page; writes docs/screenshots
	$(BIN)/python -m benchmarks.screenshots $(ARGS)

.PHONY: pins
pins: $(READY)  ## choose new versions; writes names, versions and hashes, never a host
	$(BIN)/uv pip compile --upgrade --quiet --generate-hashes --no-header --group dev \
	  -o requirements/dev.txt pyproject.toml requirements/build.in
	$(BIN)/uv pip compile --upgrade --quiet --generate-hashes --no-header -c requirements/dev.txt \
	  -o requirements/spark.txt requirements/spark.in
	$(BIN)/uv pip compile --upgrade --quiet --generate-hashes --no-header -c requirements/dev.txt \
	  -o requirements/bench.txt requirements/bench.in

.PHONY: audit
audit: $(READY)  ## what is known against the pins; writes dist/sbom.cdx.json
	$(BIN)/python -m benchmarks.supply

.PHONY: clean
clean:  ## remove the virtual environment and the demo's home
	rm -rf $(VENV) $(DEMO_HOME) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
