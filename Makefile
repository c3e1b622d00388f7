# `make demo` and `make test` work alone on a fresh clone. See README.md.
SHELL := /bin/bash
BIN := .venv/bin
# Processes that run tests; those of a file stay together.
WORKERS ?= 2

# The virtual environment holds its own ROS 2: what a sourced one left behind would get mixed in.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
unexport LD_LIBRARY_PATH RMW_IMPLEMENTATION VIRTUAL_ENV _ROS_WHEELS_BOOTSTRAP_COMPLETE
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help venv build torch browser demo test test-all lint clean

help: ## Say what there is to make
	@echo 'make TARGET [PYTHON=/path/to/python3.12] [ARGS="..."]'
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12

venv: ## Make .venv with the pinned dependencies
	@scripts/build.sh venv

build: ## Build the messages and install the package into .venv
	@scripts/build.sh build

torch: ## The same, and PyTorch and SAM's packages for the learned backends; 6 GB
	@scripts/build.sh torch

browser: venv ## Fetch the headless Chromium that tests the page of the target picker; 70 MB
	@scripts/browser.sh

demo: build ## Track two things in a short film, over DDS; ARGS="--help" says what else it can
	@$(BIN)/sam-pt demo $(ARGS)

lint: torch ## Check style and types
	@echo '==> Checking style (ruff)'
	@$(BIN)/ruff check --quiet --output-format concise .
	@echo '==> Checking types (mypy)'
	@$(BIN)/mypy --no-error-summary sam_pt_ros

test: lint browser ## Check style and types, and run the tests that are fast
	@echo '==> Running the fast tests (pytest)'
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile -m 'not slow' $(ARGS)

test-all: lint browser ## Check style and types, and run all tests, with all examples
	@echo '==> Running all tests (pytest)'
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --hypothesis-profile=all $(ARGS)

clean: ## Remove all that was made
	rm -rf .venv build install log dist demo_output *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
