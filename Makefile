# Everything below sets up .venv by itself; the machine needs Python >= 3.11, pip and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PINS   := requirements-test.txt
# What an installation is made of: when one of these changes, the next target installs again and so builds the engine again.
BUILT  := pyproject.toml setup.py $(PINS) $(wildcard sim/_*.p[yx][xd] sim/*/_*.p[yx][xd])

.DEFAULT_GOAL := help
.PHONY: help venv demo engine test nightly validate lint bench gallery notebooks docs docs-links clean

help:  ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/.ready-dev  ## install everything needed for developing into .venv

demo: $(VENV)/.ready  ## compare protocols on a measured WAN; charts and frames go to results/
	@$(BIN)/sim demo

engine: $(VENV)/.ready-dev  ## build the compiled engine in place; a fault of its sources or a missing compiler is an error
	$(BIN)/python setup.py --quiet build_ext --inplace
	SIM_ENGINE=compiled $(BIN)/sim --version

# The tests start many processes: compiled modules are kept, or each of these would compile all of sim again.
test: $(VENV)/.ready-dev  ## run all tests but the nightly ones (TESTS="tests/kernel ...": some of them)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto -m "not nightly" $(TESTS)

validate: $(VENV)/.ready-dev  ## simulate all published results again and judge them; docs/validation.md is made of it
	$(BIN)/sim validate --out docs

nightly: $(VENV)/.ready-dev  ## run the nightly tests
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n auto -m nightly

lint: $(VENV)/.ready-dev  ## ruff (rules and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.ready-dev  ## measure speed beside what people would use instead
	@for bench in benchmarks/bench_*.py; do echo "== $$bench"; $(BIN)/python "$$bench" || exit 1; done

gallery: $(VENV)/.ready-dev  ## tell every story in full; pictures and conclusions go to docs/gallery.md
	$(BIN)/python docs/make_gallery.py

notebooks: $(VENV)/.ready-dev  ## execute the notebooks; what they show is written into them
	$(BIN)/python notebooks/make_notebooks.py

docs: $(VENV)/.ready-docs  ## build the docs site in docs/_build/html; a warning or a dead link inside is an error
	$(BIN)/sphinx-build -c docs -W --keep-going -q . docs/_build/html
	@echo "docs/_build/html/index.html"

docs-links: $(VENV)/.ready-docs  ## look whether links to other sites are alive; needs a network
	$(BIN)/sphinx-build -c docs -b linkcheck -q . docs/_build/links

clean:  ## remove .venv, .venv-other, the compiled engine, caches and results
	rm -rf $(VENV) .venv-other docs/_build results build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find sim -name '_*.c' -delete -o -name '*.so' -delete -o -name '*.pyd' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment without ensurepip (Debian without python3-venv) gets its packages from the machine's pip.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "quorumlab needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV)

define install
@echo "installing $(1) into $(VENV): a minute or two ..."
@if $(BIN)/python -m pip --version >/dev/null 2>&1; then pip="$(BIN)/python -m pip"; \
  else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
  install="$$pip --disable-pip-version-check install --quiet"; $(2)
@touch $@
endef

# What a user needs. On a Python too new for the pinned versions, whatever is current.
$(VENV)/.ready: $(BUILT) | $(BIN)/python
	$(call install,quorumlab,$$install -c $(PINS) -e . || $$install -e .)

# What a developer and CI need: exactly the pinned versions.
$(VENV)/.ready-dev: $(BUILT) | $(BIN)/python
	$(call install,quorumlab and its tools,$$install -c $(PINS) -e '.[dev]')
	@touch $(VENV)/.ready

# What the docs site needs, in addition.
$(VENV)/.ready-docs: $(BUILT) | $(BIN)/python
	$(call install,quorumlab and the tools of its docs,$$install -c $(PINS) -e '.[docs]')
	@touch $(VENV)/.ready
