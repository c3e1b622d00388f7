# `make demo` and `make test` work on a fresh clone. See README.md and CONTRIBUTING.md.
SHELL := /bin/bash
BIN := .venv/bin
# Processes that run tests; those of a file stay together.
WORKERS ?= 2

# The virtual environment holds its own ROS 2: what a sourced one left behind would get mixed in.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
unexport LD_LIBRARY_PATH RMW_IMPLEMENTATION VIRTUAL_ENV _ROS_WHEELS_BOOTSTRAP_COMPLETE
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help venv build torch browser demo docs docs-tools test test-all lint clean

help: ## List the targets
	@echo 'make TARGET [PYTHON=/path/to/python3.12] [ARGS="..."]'
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12

venv: ## Create .venv with the pinned dependencies
	@scripts/build.sh venv

build: ## Build the messages, and install the package into .venv
	@scripts/build.sh build

torch: ## Build, and install PyTorch and SAM's packages for the learned backends (6 GB)
	@scripts/build.sh torch

browser: venv ## Fetch the headless Chromium for the tests of the target picker (70 MB)
	@scripts/browser.sh

demo: build ## Track two objects in a short film over DDS; ARGS="--help" lists the options
	@$(BIN)/sam-pt demo $(ARGS)

docs-tools: build
	@scripts/build.sh docs

docs: docs-tools ## Build the documentation into build/site; a warning is an error
	@$(BIN)/python scripts/parameter_table.py
	@$(BIN)/python scripts/message_page.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo '==> Built build/site; to search it: python3 -m http.server -d build/site'

lint: torch ## Check style and types
	@echo '==> Checking style (ruff)'
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/ruff format --quiet --check . || { echo 'run `$(BIN)/ruff format .`'; exit 1; }
	@echo '==> Checking types (mypy)'
	@$(BIN)/mypy --no-error-summary sam_pt_ros

test: lint browser docs-tools ## Check style and types, and run the fast tests
	@echo '==> Running the fast tests (pytest)'
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile -m 'not slow' $(ARGS)

test-all: lint browser docs-tools ## Check style and types, and run all tests, with all examples
	@echo '==> Running all tests (pytest)'
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --hypothesis-profile=all $(ARGS)

clean: ## Remove everything that was made
	rm -rf .venv build install log dist demo_output *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
