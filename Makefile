# The front door. `make help` lists what can be asked for.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup configure build test unit golden demo bench soak asan tsan fuzz fmt lint install clean bare-root

PRESET ?= dev
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)
DIR ?= $(firstword $(wildcard ../shared/golden) tests/golden)
CASES ?= *
PREFIX ?= /usr/local

# One build or test run at a time on a machine, whatever the worktree.
LOCK := $(shell realpath $$(git rev-parse --git-common-dir 2>/dev/null || echo .))/finetuned-build.lock
LOCKED := flock $(LOCK)

export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export CCACHE_MAXSIZE := 15G
export CCACHE_SLOPPINESS := pch_defines,time_macros,include_file_mtime,include_file_ctime
export CTEST_OUTPUT_ON_FAILURE := 1

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## Install Debian packages and pinned wheels into .deps/ (quick when nothing is missing).
	@cmake/setup.sh

configure: setup
	@[ -f $(BUILD)/build.ninja ] || $(LOCKED) cmake --preset $(PRESET) >/dev/null

build: configure ## Build all programs, libraries and tests.
	@$(LOCKED) cmake --build $(BUILD) -j $(JOBS) $(if $(TARGET),--target $(TARGET)) $(if $(KEEP_GOING),-- -k 0)

unit: build ## Run the unit tests (ONLY=regex selects).
	@$(LOCKED) ctest --test-dir $(BUILD) -L unit -j $(JOBS) $(if $(ONLY),-R '$(ONLY)')

test: build ## Set up, build and run every test that needs neither GPU nor hours.
	@cmake/setup.sh --python-checks
	@$(LOCKED) ctest --test-dir $(BUILD) -LE 'soak|bench' -j $(JOBS) $(if $(ONLY),-R '$(ONLY)')

golden: ## Compare with reference results: make golden DIR=folder CASES=glob.
	@$(MAKE) --no-print-directory build TARGET=ft-rank
	@$(BUILD)/bin/ft-rank golden '$(DIR)' --cases '$(CASES)'

clean: ## Remove build results (not .deps/).
	rm -rf build
