# `make demo` and `make test` need Python 3.11+ and make; all else they install into .venv from the hash-pinned locks.
PYTHON ?= python3
BIN := .venv/bin
UV_COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

.PHONY: help venv demo test check format lock bench bench-peers clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

venv: .venv/installed  ## make .venv with the command `cytobatch` in it

.venv/installed: requirements/dev.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cytobatch needs Python 3.11 or later, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: venv  ## convert a small generated plate, as a container would
	@rm -rf demo
	@$(BIN)/cytobatch example demo/plate
	@CYTOBATCH_SOURCE=demo/plate CYTOBATCH_DESTINATION=demo/out $(BIN)/cytobatch run

test: venv  ## the whole test suite
	$(BIN)/python -m pytest

check: venv  ## style, types, and the walls between modules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv  ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv  ## measure all cases, which takes hours; BENCH="csv40 tall --runs 3" measures some
	$(BIN)/python benchmarks/bench.py $(BENCH)

bench-peers: venv benchmarks/.peers/installed  ## measure CytoTable, pandas and a DuckDB join beside cytobatch
	$(BIN)/python benchmarks/peers.py $(BENCH)

# CytoTable would download DuckDB's extensions while it runs: they come as wheels, and are put where it looks for them.
benchmarks/.peers/installed: benchmarks/peers.lock
	$(PYTHON) -m venv --clear benchmarks/.peers
	benchmarks/.peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/peers.lock
	mkdir -p benchmarks/.peers/home
	HOME=$(CURDIR)/benchmarks/.peers/home benchmarks/.peers/bin/python benchmarks/peer_work.py extensions
	@touch $@

lock:  ## resolve the locks anew (needs uv)
	$(UV_COMPILE) --group build -o requirements/build.lock
	$(UV_COMPILE) pyproject.toml -o requirements/runtime.lock
	$(UV_COMPILE) pyproject.toml --extra anndata -c requirements/runtime.lock -o requirements/anndata.lock
	$(UV_COMPILE) pyproject.toml --extra anndata --group dev -c requirements/anndata.lock -c requirements/build.lock -o requirements/dev.lock
	$(UV_COMPILE) benchmarks/peers.in -o benchmarks/peers.lock

clean:  ## remove what the targets above made
	rm -rf .venv benchmarks/.peers demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
