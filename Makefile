# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export TUTELAGE_DATA ?= $(wildcard ../shared/data)
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal
LOCKED := pyproject.toml constraints.txt $(wildcard src/tutelage/metrics/rouge/c/*)

.PHONY: demo test test-long lint docs clean
.DELETE_ON_ERROR:

# A stamp is written last, so an installation that was killed is taken up again.
$(VENV)/demo.stamp: $(LOCKED)
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/docs.stamp: $(VENV)/demo.stamp
	$(PIP) --editable '.[docs]'
	touch $@

$(VENV)/test.stamp: $(VENV)/demo.stamp
	$(PIP) --editable '.[dev]'
	touch $@

# Exit code 1 says that the demo forgot more than its budget: a result, and the report is there all the same.
demo: $(VENV)/demo.stamp
	$(BIN)/tutelage models fetch smollm2-135m-instruct
	$(BIN)/tutelage run recipes/support-bot.yaml || [ $$? -eq 1 ]

lint: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/tutelage models fetch smollm2-135m-instruct
	$(PYTEST) -m 'not long'

test-long: $(VENV)/test.stamp
	$(BIN)/tutelage models fetch smollm2-135m-instruct
	$(PYTEST)

# Warnings are errors: a link that leads nowhere, a page in no table of contents.
docs: $(VENV)/docs.stamp
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs build/docs
	@echo build/docs/index.html

clean:
	rm -rf $(VENV) build src/*.egg-info src/tutelage/metrics/rouge/*.so
