# Sets up what each command needs, and runs it. A second run does only what has become necessary.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help up asterisk venv dev test-parts test bench lint types catalogue screenshots clean

ARGS ?=
PAGES ?=

help: ## list these commands
	@echo 'make COMMAND [ARGS="..."]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' Makefile

up: asterisk venv ## run Asterisk and muru until Ctrl-C
	@exec .venv/bin/muru up $(ARGS)

test: asterisk test-parts dev ## run the tests: make test ARGS="-k registry"
	.venv/bin/python -m pytest -n 3 --dist loadfile $(ARGS)

bench: asterisk test-parts dev ## measure, and compare with a bare handler and a bare INSERT
	.venv/bin/python -m bench $(ARGS)

lint: dev ## check style, spelling and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/codespell
	@$(MAKE) --no-print-directory types

# To mypy a module's name follows from its path. So that a file in flavors/ is muru.flavors.<name>, as
# when muru runs, mypy reads it by way of a link.
types: dev ## check types only
	@mkdir -p .mypy_cache/path/muru
	@ln -sfn ../../../flavors .mypy_cache/path/muru/flavors
	MYPYPATH=.mypy_cache/path .venv/bin/mypy --explicit-package-bases \
	    muru .mypy_cache/path/muru/flavors tests bench

catalogue: dev ## bring new texts of the pages into the catalogues of translations
	.venv/bin/python scripts/catalogue.py

screenshots: asterisk test-parts dev ## take a picture of each page: make screenshots PAGES="start readme"
	PAGES="$(PAGES)" .venv/bin/python -m pytest -q tests/web/screenshots.py tests/web/readme_pictures.py

asterisk: ## get Asterisk, unless the machine has version 20 or newer
	@scripts/get-asterisk

test-parts: ## get the phones and database servers that the tests use
	@scripts/get-test-parts

venv: .venv/.run ## make .venv, with all that "up" needs
dev: .venv/.dev ## make .venv, with all that "test" and "lint" need

requirements := setup.cfg pyproject.toml constraints.txt muru/__init__.py
install := .venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e

.venv/.run: $(requirements) | .venv/bin/python
	$(install) .
	@touch $@

.venv/.dev: $(requirements) | .venv/bin/python
	$(install) '.[test,lint]'
	@touch $@ .venv/.run

# Debian packs ensurepip on its own: a Python without it makes no virtual environment.
fit := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
find_python = for name in python3 python3.13 python3.12 python3.11; do \
	if "$$name" -c '$(fit)' 2>/dev/null; then echo "$$name"; break; fi; done

.venv/bin/python:
	@python=$$($(find_python)); \
	if [[ ! $$python && $$EUID == 0 && $$(command -v apt-get) ]]; then \
	    apt-get -q update >&2; \
	    DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install python3-venv >&2; \
	    python=$$($(find_python)); \
	fi; \
	if [[ ! $$python ]]; then \
	    echo 'There is no Python 3.11, 3.12 or 3.13 with venv: sudo apt-get install python3-venv' >&2; \
	    exit 1; \
	fi; \
	"$$python" -m venv --clear .venv

clean: ## remove .venv, caches and what was built; data/ and Asterisk stay
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
