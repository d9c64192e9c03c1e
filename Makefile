# Two commands: `make up` runs the whole marketplace and opens the UI, `make test` checks everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint requirements.lock --editable
UV := $(shell sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)

.PHONY: up test lint bench clean

up: $(VENV)/ready
	$(BIN)/wanderbricks up

test: lint
	$(BIN)/dagster definitions validate -w workspace.yaml
	$(BIN)/python -m pytest

lint: $(VENV)/ready-to-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# How fast it is, in under twenty minutes: `make bench > docs/performance.md` writes the page.
bench: $(VENV)/ready-to-test
	@$(BIN)/python -m bench

# uv, in the version of the lock, installs what the lock says and checks its hashes, in seconds. Compiling, which saves
# every later process the seconds, goes on beside what comes next.
$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	$(INSTALL) .
	touch $@
	nice $(BIN)/python -m compileall -q $(VENV)/lib > /dev/null 2>&1 &

# Spark and the clients of Databricks and Postgres come only with the tests, which run on them.
$(VENV)/ready-to-test: $(VENV)/ready
	$(INSTALL) '.[dev]'
	touch $@

# Of XGBoost's wheels for Linux the lock leaves out the one with GPU kernels (95 MB), so uv takes the other (5 MB).
XGBOOST_WITH_GPU := a03210a3e54c9e543f480db9636fee57247cfcd1ae850b353aeac59eea5ca350
XGBOOST_WITHOUT_GPU := d7f57a04629b52bae91a80e6721b9cdd009b605827a9eca67953675292b4487e

.PHONY: lock
lock: $(VENV)/ready-to-test
	$(BIN)/uv pip compile --universal --python-version 3.11 --all-extras --generate-hashes --no-header --no-annotate \
		--quiet --output-file requirements.lock pyproject.toml
	grep -q $(XGBOOST_WITHOUT_GPU) requirements.lock || { echo "XGBoost is another: name its wheels in the Makefile"; exit 1; }
	grep -v $(XGBOOST_WITH_GPU) requirements.lock > $(VENV)/lock && mv $(VENV)/lock requirements.lock

clean:
	rm -rf $(VENV) .wanderbricks
