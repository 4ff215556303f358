# firstcall: `make help` lists the targets. Needs git, make and Python 3.11 or newer; everything else is installed here.

SHELL := /bin/sh
BIN := .venv/bin
STAMP := .venv/installed
DEMO_ARGS ?=
TEST_ARGS ?=
TEST_JOBS ?= 3
BENCH_ARGS ?=
EVALUATE_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench evaluate docs lock clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Install the locked dependencies and the project into .venv (done by the others as needed)

$(STAMP): requirements/dev.lock requirements/uv.lock requirements/install pyproject.toml
	@requirements/install requirements/dev.lock
	@touch $@

demo: $(STAMP) ## Everything on this machine: engines, cloud, a simulated fleet, the console (DEMO_ARGS="--headless --minutes 2")
	@$(BIN)/firstcall demo $(DEMO_ARGS)

test: $(STAMP) ## All tests against real engines, lint among them (TEST_ARGS="tests/engines -k nats")
	@deploy/test-machine
	@$(BIN)/python -m pytest -n $(TEST_JOBS) --durations=12 $(TEST_ARGS)

lint: $(STAMP) ## ruff, mypy (strict), the import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(STAMP) ## Let ruff put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## Throughput and cost beside simpler pipelines, on this machine (BENCH_ARGS)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

evaluate: $(STAMP) ## Score the detector on recorded data and on the simulator (EVALUATE_ARGS)
	@$(BIN)/python -m benchmarks.evaluate_detection $(EVALUATE_ARGS)
	@$(BIN)/python -m benchmarks.bench_simulator --fast --no-write

docs: $(STAMP) ## Write docs/settings.md anew from the programs' settings
	@$(BIN)/python -m docs.write_settings

lock: $(STAMP) ## Resolve the dependencies anew and write requirements/*.lock
	@requirements/lock

clean: ## Delete .venv, caches and build leftovers (not var/, where the programs keep their state)
	rm -rf .venv build dist firstcall.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
