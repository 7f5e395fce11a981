# Needs Python 3.11 or newer and make; everything else goes into .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
EXTRAS ?= torch,keras-cpu,fast,app,server,audit,postgresql,report,distributed,docs,dev
PYTEST ?= --numprocesses 2 --dist loadfile --no-loadscope-reorder

VENV := .venv
BIN := $(VENV)/bin
# Python compiles what it imports by itself and keeps it, also where a container forbids that: TensorFlow is
# imported in half the time. Compiling all files of both frameworks at once would take minutes.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt
STAMP := $(VENV)/.installed

TORCH = $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := help
.PHONY: long tests help install demo test check lint docs format clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

install: $(STAMP) ## xaikit with both frameworks and all tools in .venv, in the versions of constraints.txt

# Two processes of one thread each, for two processors: browsers and servers keep them busy. With more threads they wait
# for one another (measured: more than twice as long), with three processes it is no sooner ready.
tests long check: export OMP_NUM_THREADS = 1
tests long check: export TF_NUM_INTRAOP_THREADS = 1
tests long check: export TF_NUM_INTEROP_THREADS = 1

demo: $(STAMP) ## explain one picture with both frameworks; the last line is the path of the page
	@$(BIN)/xaikit demo

test: lint tests ## what CI runs: lint, and all tests but further cases of the same; --jobs 2 does both at once

tests: $(STAMP)
	$(BIN)/python -m pytest -m "not long" $(PYTEST)

long: $(STAMP) ## the further cases that `make test` leaves out, as before a release
	$(BIN)/python -m pytest -m long $(PYTEST)

check: lint ## the fast half: format, lint, types, imports, and the tests not marked slow
	$(BIN)/python -m pytest -q -m "not slow and not long" $(PYTEST)

lint: $(STAMP) ## format, lint, types and import rules, without tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: export NO_MKDOCS_2_WARNING = 1

docs: $(STAMP) ## the site in build/site, with warnings as errors; build/site/index.html opens without a server
	$(BIN)/mkdocs build --quiet --strict

format: $(STAMP) ## put the code into the one format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove .venv, caches and built files
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .benchmarks

# stdout stays free for what `make demo` prints. On Linux the registry's own torch build brings several gigabytes of
# GPU libraries, so the CPU build is taken, from where pip looks anyway or else from PyTorch's index, unless a torch
# is already there.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 1>&2 \
		|| { echo "xaikit needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" 1>&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) 1>&2
	@echo "installing into $(VENV) (some minutes the first time)" 1>&2
	@if [ "$$(uname -s)" = Linux ] && ! $(BIN)/python -m pip show --quiet torch >/dev/null 2>&1; then \
		$(PIP) 'torch==$(TORCH)+cpu' >/dev/null 2>&1 \
			|| $(PIP) --extra-index-url $(TORCH_CPU_INDEX) 'torch==$(TORCH)' 1>&2; \
	fi
	@$(PIP) --editable '.[$(EXTRAS)]' 1>&2
	@touch $@
