# The short way to everything; `make` alone lists it.

VENV ?= .venv
BIN := $(VENV)/bin
DOCS_BIN := $(VENV)-docs/bin
# One thread each unless told otherwise: two beside any other process wait for each other.
OMP_NUM_THREADS ?= 1
# Processes of the test suite; each takes whole files.
JOBS ?= 2
export VENV OMP_NUM_THREADS

.DEFAULT_GOAL := help
.PHONY: help setup demo shapes test test-gpu lint format docs

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | \
		while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-8s %s\n' "$$name" "$$text"; done

setup: ## create .venv with the pinned requirements (nothing to do: no time)
	@bash tools/setup_env.sh

demo: setup ## all methods on few labels of the shapes; DATA=folder for your own data; ARGS="--seed 1"
	@$(BIN)/python tools/demo.py $(if $(DATA),--data "$(DATA)") $(ARGS)

shapes: setup ## draw the embedded dataset into data/shapes
	@$(BIN)/python tools/make_shapes.py

test: setup ## the whole test suite; ARGS="-k views" for a part, JOBS=1 in one process
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(ARGS)

test-gpu: setup ## the tests that need a GPU, in one process
	@$(BIN)/python -m pytest -q -m gpu tests/gpu $(ARGS)

lint: setup ## what must be clean before a commit
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then \
		SKIP=ruff-check,ruff-format $(BIN)/pre-commit run --all-files; \
	else echo "no git checkout here: the file hooks of pre-commit are left out"; fi

format: setup ## let ruff put style and imports right
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

docs: $(DOCS_BIN)/.ready ## the documentation as a site in site/, with every link checked
	@NO_MKDOCS_2_WARNING=1 $(DOCS_BIN)/mkdocs build
	@echo "site/index.html is ready"

$(DOCS_BIN)/.ready: requirements-docs.txt
	@$(or $(PYTHON),python3) -c 'import sys; sys.exit(sys.version_info < (3, 11, 5))' || \
		{ echo "the site needs Python 3.11.5 or later: PYTHON=python3.12 make docs" >&2; \
		exit 1; }
	@$(or $(PYTHON),python3) -m venv --clear $(VENV)-docs
	@$(DOCS_BIN)/pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@touch $@
