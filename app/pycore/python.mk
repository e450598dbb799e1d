# The goals of every Python part of the application, each with a virtual environment of its own
# (python3 >= 3.11). Included by its Makefile, which may say where its lock file is.
HERE := $(dir $(lastword $(MAKEFILE_LIST)))
VENV ?= .venv
BIN := $(VENV)/bin
LOCK ?= requirements.lock

.PHONY: lint test lock
$(VENV)/complete: $(LOCK) $(HERE)requirements-dev.lock
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
	  --no-deps -r $(LOCK) -r $(HERE)requirements-dev.lock
	touch $@

lint: $(VENV)/complete
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

test: $(VENV)/complete
	$(BIN)/pytest

# A lock holds for every Python that pyproject.toml allows: hashes of all wheels, no index URL.
COMPILE = $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-header \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

$(BIN)/pip-compile:
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet pip-tools
