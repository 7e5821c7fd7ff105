PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: help train test test-slow lint check format docs tensorboard clean

help:  ## Show what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("partae needs Python 3.11 or newer: make PYTHON=<path to one>")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

train: $(INSTALLED)  ## Train the default model on Fashion-MNIST
	$(BIN)/python train.py

test: $(INSTALLED)  ## Run the quick tests
	$(BIN)/pytest -n 2 -m 'not slow'

test-slow: $(INSTALLED)  ## Run the tests that train on the real data, or take long
	$(BIN)/pytest -m slow

lint: $(INSTALLED)  ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test  ## Lint, then test

format: $(INSTALLED)  ## Put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(INSTALLED)  ## Build the documentation into docs/build
	$(BIN)/python docs/figures.py
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/build

tensorboard: $(INSTALLED)  ## Look at all runs
	$(BIN)/tensorboard --logdir outputs

clean:  ## Remove the environment and all caches; outputs/ and data/ stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info docs/build docs/figures
