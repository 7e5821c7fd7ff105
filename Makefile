PYTHON ?= python3
ACCELERATOR ?= gpu
SIZE ?= full
BIN := .venv/bin
INSTALLED := .venv/installed
IMAGES := $(foreach set,train t10k,$(addprefix data/FashionMNIST/raw/$(set)-,images-idx3-ubyte labels-idx1-ubyte))

.PHONY: help data train test test-slow lint check format docs gpu soak coverage pins audit tensorboard clean

help:  ## Show what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("partae needs Python 3.11 or newer: make PYTHON=<path to one>")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

data: $(IMAGES)  ## Fetch Fashion-MNIST into data/, from Debian's package if need be

$(IMAGES): | $(INSTALLED)
	$(BIN)/python -m partae.data.fetching

train: $(INSTALLED) data  ## Train the default model on Fashion-MNIST
	$(BIN)/python train.py

# a thread for each of two workers: with more, they wait for each other
test: $(INSTALLED) data  ## Run the quick tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m 'not slow'

test-slow: $(INSTALLED) data  ## Run the tests that train on the real data, or take long
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m slow

lint: $(INSTALLED)  ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test  ## Lint, then test

format: $(INSTALLED)  ## Put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(INSTALLED)  ## Build the documentation into docs/build
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/build

gpu: $(INSTALLED) data  ## Check and time everything on a GPU; ACCELERATOR=cpu SIZE=tiny tries the checks without one
	$(BIN)/python benchmarks/gpu.py --accelerator $(ACCELERATOR) --size $(SIZE)

soak: $(INSTALLED)  ## Type 200 random valid and 200 random invalid command lines
	SOAK=200 $(BIN)/pytest tests/test_soak.py

coverage: $(INSTALLED)  ## Measure what all tests run of partae/, branches too
	$(BIN)/pytest --cov=partae --cov-branch --cov-report=term-missing:skip-covered

pins: $(INSTALLED)  ## Write the newest versions that go together into constraints.txt
	$(BIN)/python .ci/pins

audit:  ## Ask the advisory database about every pinned version
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/pip install --quiet pip-audit==2.10.1
	.venv/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

tensorboard: $(INSTALLED)  ## Look at all runs
	$(BIN)/tensorboard --logdir outputs

clean:  ## Remove the environment and all caches; outputs/ and data/ stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info docs/build
