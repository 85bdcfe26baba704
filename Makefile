# `make denoise`: environment, install, the main job.  `make test`: the same environment, all tests.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: denoise test test-fast lint clean

denoise: $(STAMP)
	$(RUN)/tuner run recipes/denoise.yaml

test: $(STAMP)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/python -m pytest

test-fast: $(STAMP)
	$(RUN)/python -m pytest -m "not slow"

lint: $(STAMP)
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .
	$(RUN)/mypy

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,dev]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
