# Each target is one chore. It first creates the virtual environment, and again when the pinned packages change.

PYTHON ?= python3
VENV ?= .venv
SPACE ?= mnist_asha
ARGS ?=
BIN := $(VENV)/bin

# Use the datasets in a folder beside the checkout if there are any. The package itself doesn't know that folder.
ifneq ($(wildcard ../shared/data/MNIST),)
export TUNE_MLP_DATA ?= $(abspath ../shared/data)
endif

.PHONY: search serve setup test test-slow test-versions check format docs picture bench bench-overhead wheel clean

search: setup  ## run the main job; make search SPACE=digits_quick ARGS="--trials 5"
	$(BIN)/python -m tune_mlp.search --space $(SPACE) $(ARGS)

serve: setup  ## the service over runs/, with one finished example study; make serve ARGS="--port 8643"
	@test -e runs/example || $(BIN)/tune-mlp search --space digits_quick --name example
	$(BIN)/tune-mlp serve $(ARGS)

setup: $(VENV)/.installed  ## the virtual environment, with pinned packages

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Making $(VENV) with pinned packages: a minute or two, once."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; make PYTHON=python3.12 names another")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

# Run two tests at a time, each with its own Ray, because most of a test's time is the start of Ray's workers.
TEST := $(BIN)/pytest --numprocesses 2 --dist worksteal

test: setup  ## all tests but the slow ones, with line coverage
	$(TEST) --cov --cov-report=term

test-slow: setup  ## the slow tests
	$(TEST) -m slow

test-versions: setup  ## the quick tests on the lowest and the highest versions of the dependencies, by hand; see docs/versions.md
	$(BIN)/python tests/versions.py $(ARGS)

check: setup  ## check format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup  ## format the code with ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup  ## write the settings page, the tree in docs/architecture.md, the summary in docs/published.md and the JSON schema
	$(BIN)/python docs/pages.py
	$(BIN)/tune-mlp schema > search_spaces/study.schema.json

picture: setup  ## take the README's pictures of a real run of the main job, and those of its report
	PYTHONPATH=. $(BIN)/python docs/picture.py
	PYTHONPATH=. $(BIN)/python docs/report_pictures.py $(RUN)

bench: setup  ## every speed claim, peers side by side, into benchmarks/RECORDS.md; QUICK=1 is under 3 minutes and only prints
	$(BIN)/python -m benchmarks.bench $(if $(QUICK),--quick) $(ARGS)

bench-overhead: setup  ## what a trial costs beside its training
	$(BIN)/python benchmarks/overhead.py

wheel: setup  ## a wheel in dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove what make made; runs are kept
	rm -rf $(VENV) dist build .coverage .mypy_cache .ruff_cache .pytest_cache
