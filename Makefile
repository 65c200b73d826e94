# penstock: `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := requirements/run.lock
DEVLOCK := requirements/dev.lock
# What is compiled is kept: without that each of the hundreds of processes that the tests start compiles everything anew.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest

.PHONY: help run install dev test retest bench-test check docs screens format lock schemas bench peers-lock faults soak clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: install ## the example: start the store and a worker, sign a file, show log, status and artifacts
	$(BIN)/penstock run --up sign-file -p file=README.md

install: $(VENV)/.installed ## .venv with penstock in it

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(LOCK) pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r $(LOCK)
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

dev: $(VENV)/.dev ## what the tests and the checks need besides

$(VENV)/.dev: $(DEVLOCK) | $(VENV)/.installed
	$(PIP) install --require-hashes -r $(DEVLOCK)
	@touch $@

test: dev ## the whole suite
	$(PYTEST) -n 3 --dist loadscope --no-loadscope-reorder

retest: dev ## what failed last time, once more
	$(PYTEST) --last-failed --last-failed-no-failures none

bench-test: dev ## that the benchmarks measure every system and leave nothing
	$(PYTEST) tests/bench

check: dev ## style, types, floors, generated files up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check

docs: dev ## write docs/reference and schemas/ from the code
	$(BIN)/python -m docs.generate

schemas: docs

screens: dev ## docs/screens from a site at work, in light and dark (needs chromium)
	$(BIN)/python -m docs.screens

bench: install ## all benchmarks and which targets hold (about 15 minutes); BASE=COMMIT: today beside that commit (about 3)
	@$(BIN)/python -m $(if $(BASE),bench.base $(BASE),bench.run) $(BENCH)

peers-lock: ## resolve what the peers of the benchmark need anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make peers-lock" bench/peers/requirements.in -o bench/peers/requirements.txt

faults: dev ## the same faults played to plain Celery and to Penstock, as a table (about 6 minutes)
	$(BIN)/python -m tests.system.faults.compare

soak: dev ## producers, workers and the store killed at random (PENSTOCK_SOAK_S, PENSTOCK_SOAK_SEED)
	PENSTOCK_SOAK_S=$${PENSTOCK_SOAK_S:-120} $(BIN)/python -m tests.system.faults.soak

format: dev ## rewrite the code in the house style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" --extra examples pyproject.toml requirements/build.in -o $(LOCK)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" --extra examples --extra dev -c $(LOCK) pyproject.toml requirements/build.in -o $(DEVLOCK)

clean: ## remove what install and run made
	rm -rf $(VENV) .penstock .bench
	git worktree prune 2>/dev/null || true
