# `make demo` and `make test` need Python 3.11+ and make; they install all else into .venv from the hash-pinned locks.
PYTHON ?= python3
BIN := .venv/bin
UV_COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

# The number of workers that run tests: auto is one more than there are CPUs, 0 runs all tests in one process, in which
# --pdb works.
WORKERS ?= auto
# Python keeps what it compiles, whatever the environment says, because tests start hundreds of programs.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS)

# ENGINE is by default the first that answers. BASE is another base image, and BASE_DIGEST (sha256:…) the one of its
# versions to build on. PLATFORM is that of another machine
# (linux/amd64 for AWS, if this one differs). LOCK=anndata.lock adds AnnData. BUILD_ARGS are further flags of the build.
ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(shell $(engine) info >/dev/null 2>&1 && echo $(engine))))
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/cytobatch/__init__.py)
REVISION = $(shell git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null)
CREATED = $(shell git log -1 --format=%cI 2>/dev/null)

.PHONY: help venv demo test test-fast test-long torture test-downstream test-workflows check audit format options docs dist image image-test smoke-aws lock screenshots bench bench-peers clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

venv: .venv/installed  ## make .venv with the command `cytobatch` in it

.venv/packages: requirements/dev.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cytobatch needs Python 3.11 or later, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

# Commands and entry points are installed from pyproject.toml: a changed one is installed again, which takes seconds.
.venv/installed: .venv/packages pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Checkov scans the Terraform configuration. It has an environment of its own, because its pins conflict with the project's.
.venv-checkov/installed: requirements/checkov.lock
	$(PYTHON) -m venv --clear .venv-checkov
	.venv-checkov/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/checkov.lock
	@touch $@

# pip-audit and CycloneDX's program have an environment of their own, so that the lists hold nothing of theirs.
.venv-audit/installed: requirements/audit.lock
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.lock
	@touch $@

# mkdocs builds the documentation site.
.venv-docs/installed: requirements/docs.lock
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.lock
	@touch $@

# Snakemake and Galaxy's library run and check what is in workflows/.
.venv-workflows/installed: requirements/workflows.lock
	$(PYTHON) -m venv --clear .venv-workflows
	.venv-workflows/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/workflows.lock
	@touch $@

# scanpy and CytoDataFrame bring 900 MB of packages, which no other test needs.
.venv-downstream/installed: requirements/downstream.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv-downstream
	.venv-downstream/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/downstream.lock
	.venv-downstream/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: venv  ## convert a small generated plate, as a container would
	@rm -rf demo
	@$(BIN)/cytobatch example demo/plate
	@CYTOBATCH_SOURCE=demo/plate CYTOBATCH_DESTINATION=demo/out $(BIN)/cytobatch run

test: venv  ## run the whole test suite
	$(PYTEST)

test-fast: venv  ## run the tests that take neither seconds nor servers, in less than two minutes
	$(PYTEST) -m "not slow and not long"

test-long: venv  ## run the generated tests with ten times as many examples, and random ones; and tests that take long
	$(PYTEST) -m "hypothesis or long" --hypothesis-profile=long

torture: venv  ## 300 kills of runs, 200 races of two runs, 20,000 damaged plates and tables
	$(PYTEST) -m torture

test-downstream: .venv-downstream/installed  ## run the programs that read profiles: scanpy, CytoDataFrame, pycytominer, a notebook
	.venv-downstream/bin/python -m pytest -n 0 -rA tests/conversion/test_downstream.py tests/conversion/test_pycytominer.py tests/pipeline/test_notebook.py

test-workflows: venv .venv-workflows/installed  ## run the wrappers for Snakemake and Galaxy
	$(BIN)/python -m pytest -n 0 -rA tests/workflows

check: venv  ## check style, types, and imports between modules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: venv .venv-audit/installed  ## list licences, and look for known vulnerabilities in what is shipped
	$(BIN)/python .ci/audit.py .venv-audit/bin/pip-audit $(addprefix requirements/,runtime.lock anndata.lock dask.lock)

format: venv  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

options: venv  ## write the table of docs/options.md from the models
	$(BIN)/python .ci/options_page.py

docs: .venv-docs/installed  ## build the documentation site into site/, with its links checked
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "$(CURDIR)/site/index.html"

dist: venv  ## build the wheel and the source distribution into dist/
	rm -rf dist
	$(BIN)/hatchling build -d dist

# The build gets this machine's index of packages, if it is not PyPI, as secrets, which stay in no layer.
image:  ## build the image cytobatch:latest, with docker, podman or buildah
	@test -n "$(ENGINE)" || { echo "make image: neither docker, podman nor buildah answers" >&2; exit 1; }
	@secrets=$$(mktemp -d) && trap 'rm -rf "$$secrets"' EXIT && flags=$$($(PYTHON) .ci/pip_secrets.py "$$secrets") && \
	BUILDAH_LAYERS=true $(ENGINE) build $$flags $(BUILD_ARGS) $(if $(PLATFORM),--platform $(PLATFORM)) $(if $(BASE),--build-arg BASE=$(BASE)) $(if $(BASE_DIGEST),--build-arg BASE_DIGEST=$(BASE_DIGEST)) $(if $(LOCK),--build-arg LOCK=$(LOCK)) \
	  $(if $(VERSION),--build-arg VERSION=$(VERSION)) $(if $(REVISION),--build-arg REVISION=$(REVISION)) \
	  $(if $(CREATED),--build-arg CREATED=$(CREATED)) $(if $(SOURCE_URL),--label org.opencontainers.image.source=$(SOURCE_URL)) \
	  --tag cytobatch:$(VERSION) --tag cytobatch:latest .

image-test: venv image  ## test the image: a plate from a folder, one from S3, and the needs of a scheduler
	IMAGE=cytobatch:$(VERSION) ENGINE=$(ENGINE) $(BIN)/python -m pytest tests/image

smoke-aws: venv  ## deploy, convert and destroy on AWS itself, with your credentials: minutes, and some cents
	SMOKE_AWS=1 $(BIN)/python -m pytest -rA tests/batch/aws/test_smoke.py

screenshots: venv  ## write pictures of the plate page and the batch page into screenshots/ (needs Chromium)
	$(BIN)/python -m tests.support.screenshots screenshots

bench: venv  ## measure all cases, which takes hours; BENCH="csv40 tall --runs 3" measures some
	$(BIN)/python benchmarks/bench.py $(BENCH)

bench-peers: venv benchmarks/.peers/installed  ## measure CytoTable, pandas and a DuckDB join beside cytobatch
	$(BIN)/python benchmarks/peers.py $(BENCH)

# CytoTable downloads DuckDB's extensions while it runs: they come as wheels, and are installed where it finds them.
benchmarks/.peers/installed: benchmarks/peers.lock
	$(PYTHON) -m venv --clear benchmarks/.peers
	benchmarks/.peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/peers.lock
	mkdir -p benchmarks/.peers/home
	HOME=$(CURDIR)/benchmarks/.peers/home benchmarks/.peers/bin/python benchmarks/peer_work.py extensions
	@touch $@

lock:  ## resolve the locks again (needs uv)
	$(UV_COMPILE) --group build -o requirements/build.lock
	$(UV_COMPILE) pyproject.toml -o requirements/runtime.lock
	$(UV_COMPILE) pyproject.toml --extra anndata -c requirements/runtime.lock -o requirements/anndata.lock
	$(UV_COMPILE) pyproject.toml --extra dask -c requirements/runtime.lock -o requirements/dask.lock
	$(UV_COMPILE) pyproject.toml --extra anndata --extra dask --group dev -c requirements/anndata.lock -c requirements/dask.lock -c requirements/build.lock -o requirements/dev.lock
	$(UV_COMPILE) pyproject.toml --extra anndata --group downstream -c requirements/dev.lock -o requirements/downstream.lock
	$(UV_COMPILE) benchmarks/peers.in -o benchmarks/peers.lock
	$(UV_COMPILE) requirements/checkov.in -o requirements/checkov.lock
	$(UV_COMPILE) requirements/audit.in -o requirements/audit.lock
	$(UV_COMPILE) requirements/workflows.in -o requirements/workflows.lock
	$(UV_COMPILE) requirements/docs.in -o requirements/docs.lock

clean:  ## remove the results of the targets above
	rm -rf .venv .venv-audit .venv-checkov .venv-docs .venv-downstream .venv-workflows benchmarks/.peers demo screenshots site dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
