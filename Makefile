# Keelman's chores. Every target sets up what it needs; `make` alone lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL: # two set-ups at once would fight over apt

VENV := .venv
STAMP := $(VENV)/.ready
BIN := $(VENV)/bin
SOURCES := src tests $(wildcard examples) scripts

.PHONY: help
help: ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: venv
venv: $(STAMP) ## set up .venv with Keelman and its tools

$(STAMP): requirements-dev.txt pyproject.toml scripts/venv
	@scripts/venv $(VENV) requirements-dev.txt
	@$(BIN)/python -m pip --disable-pip-version-check --quiet --quiet install \
		--no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: engine
engine: ## see that a Docker engine answers (root on Debian: install, start)
	@scripts/engine

.PHONY: images
images: engine ## build the images of the demo and the tests, from busybox
	@python3 scripts/images

.PHONY: run
run: venv images ## a worker in the foreground, on 127.0.0.1:5556
	@scripts/run

.PHONY: demo
demo: venv images ## the main job, shown: tasks sent, run, listed, stopped
	@$(BIN)/python examples/demo.py

.PHONY: demo-cluster
demo-cluster: venv images ## a manager and three workers: tasks spread, nodes lost, tasks moved
	@$(BIN)/python examples/demo_cluster.py

.PHONY: picture
picture: venv images ## draw docs/cli.svg anew, from what the command line says
	@$(BIN)/python scripts/picture

.PHONY: decisions
decisions: venv ## write tests/data/decisions.txt anew: what the pure core decides, cell by cell
	@$(BIN)/python -m tests.unit.decisions

.PHONY: test
test: venv images ## every test, those on a real engine too
	@$(BIN)/pytest $(ARGS)

# Of each strategy so many times as much as in a usual run of the tests.
FUZZ ?= 10
.PHONY: fuzz
fuzz: venv ## hostile input, more of it: decoders, raw bytes on the port, the contract [FUZZ=10]
	@FUZZ=$(FUZZ) $(BIN)/pytest tests/unit/test_decoders_any.py tests/unit/test_wire_any.py \
		tests/api/test_attacks.py tests/api/test_openapi.py $(ARGS)

SEEDS ?= 1000
FROM ?= 1
.PHONY: simulate
simulate: venv ## the worker in virtual time, crashing anywhere: SEEDS=1000 FROM=1 [FAULT=name]
	@$(BIN)/python -m tests.simulation "$(SEEDS)" "$(FROM)" "$(FAULT)"

.PHONY: simulate-faults
simulate-faults: venv ## the names of the deliberate faults that FAULT takes: of a worker, of a cluster
	@$(BIN)/python -m tests.simulation faults
	@echo
	@$(BIN)/python -m tests.cluster faults

.PHONY: simulate-cluster
simulate-cluster: venv ## a manager and workers in virtual time, links cut, crashing anywhere: SEEDS FROM [FAULT]
	@$(BIN)/python -m tests.cluster "$(SEEDS)" "$(FROM)" "$(FAULT)"

.PHONY: torture
torture: venv images ## kill -9, faults, a full disk, a reboot: on an engine of its own [ONLY=kills ROUNDS=n WRITE=1]
	@$(BIN)/python -m tests.torture $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(WRITE),--write)

MINUTES ?= 20
.PHONY: soak
soak: venv images ## churn on the real engine for MINUTES (20): does anything of the worker grow?
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) $(ARGS)

BENCH = $(BIN)/python -m tests.bench $(ONLY) $(if $(WRITE),--write)
.PHONY: bench
bench: venv images wrk ## how fast, beside the bare engine: some minutes [ONLY="starts lists" WRITE=1]
	@$(BENCH)

.PHONY: bench-full
bench-full: venv images wrk ## the same with all sizes and more rounds: an hour
	@$(BENCH) --full

.PHONY: wrk
wrk:
	@command -v wrk >/dev/null || scripts/need "a load generator for HTTP" wrk

.PHONY: coverage
coverage: venv images ## every test, and what they did not reach
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

.PHONY: check
check: venv ## format, lint, types, import contracts; needs no engine
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: fmt
fmt: venv ## format, and mend what the linter can
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

# Pins stay as they are where they still fit; `make lock LOCK=--upgrade` takes the newest.
PIP_COMPILE := CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --generate-hashes \
	--allow-unsafe --strip-extras --no-emit-options --no-emit-index-url --no-emit-trusted-host \
	--no-emit-find-links $(LOCK)
.PHONY: lock
lock: venv ## lock the dependencies of pyproject.toml, with hashes
	@$(PIP_COMPILE) --output-file requirements.txt pyproject.toml
	@$(PIP_COMPILE) --only-build-deps --build-deps-for wheel --output-file requirements-build.txt pyproject.toml
	@$(PIP_COMPILE) --extra dev --constraint requirements.txt --constraint requirements-build.txt \
		--output-file requirements-dev.txt pyproject.toml
	@$(PIP_COMPILE) --constraint requirements-dev.txt --output-file requirements-audit.txt requirements-audit.in

# Tools that look from outside: not among those that every change needs.
LOOK := .venv-audit
$(LOOK)/.ready: requirements-audit.txt scripts/venv
	@scripts/venv $(LOOK) requirements-audit.txt
	@touch $@

.PHONY: audit
audit: $(LOOK)/.ready ## known vulnerabilities of what is locked; needs the network [ARGS="--vulnerability-service osv"]
	@$(LOOK)/bin/python scripts/audit.py $(ARGS)

.PHONY: sbom
sbom: $(LOOK)/.ready ## what a worker is made of, with hashes: build/keelman.cdx.json (CycloneDX)
	@$(LOOK)/bin/python scripts/sbom.py

.PHONY: clean
clean: ## remove what these targets made here (not the engine, nor its images)
	@rm -rf $(VENV) $(LOOK) build dist htmlcov .coverage* .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache src/*.egg-info
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
