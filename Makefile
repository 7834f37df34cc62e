# `make` or `make help` lists what there is to make.

SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SCALE ?= quick
# Processes that run tests: one a core, as memory allows. Each keeps to one thread, since threads of
# several processes on the same cores wait for each other.
TESTERS ?= auto
MINUTES ?= 9
# What is tested once more with each array's shape checked.
SHAPED := tests/test_shapes.py tests/geometry tests/bodies/test_body.py tests/bodies/test_points.py \
	tests/models/test_blazepose.py tests/models/test_blazepose_regions.py \
	tests/models/test_hmr.py tests/models/test_heatmaps.py tests/models/test_discriminators.py \
	tests/training/test_losses.py tests/training/test_fits_dict.py

# The lock file has wheels for these. `make PYTHON=/path/to/python3.12 ...` chooses one by hand.
OLDEST := 3.11
NEWEST := 3.14
FITS := import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v <= (3, 14))
FOUND = $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(FITS)' 2>/dev/null && echo "$$p" && break; done)
PYTHON ?= $(FOUND)

# No server is asked for an interpreter; slow lines get time.
export UV_PYTHON_DOWNLOADS := never
export UV_HTTP_TIMEOUT ?= 300

.PHONY: help install run test hostile lint lab notebooks bench gpu body viewer lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(STAMP) ## run the whole series at SCALE=quick (some 40 minutes on 2 cores) and write a report
	$(BIN)/hmrlab run --scale $(SCALE)

lab: $(STAMP) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir notebooks

# The chapters first: they take longest, and would keep one process busy alone at the end.
test: lint ## everything that CI checks: style, unit tests, a browser, all notebooks at smoke scale
	@$(BIN)/python tests/viewer/chromium.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TESTERS) --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder tests/notebooks tests
	OMP_NUM_THREADS=1 HMRLAB_CHECK_SHAPES=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile $(SHAPED)

hostile: $(STAMP) ## every damage to every file that a command reads, and five seeds of those drawn
	OMP_NUM_THREADS=1 HMRLAB_HOSTILE_SEEDS=5 $(BIN)/python -m pytest -n $(TESTERS) --maxprocesses 4 \
		--dist load tests/hostile tests/unpickling

lint: $(STAMP) ## style only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

notebooks: $(STAMP) ## rebuild the committed notebooks from notebooks/source, at laptop scale
	$(BIN)/python tools/build_notebooks.py

bench: $(STAMP) ## time keypoint body, fits, SPIN's loop, packing, eyes, viewer; rewrites benchmarks/README.md
	$(BIN)/python benchmarks/keypoint_body.py --write
	$(BIN)/python benchmarks/fitting.py --write
	$(BIN)/python benchmarks/loop.py --write
	$(BIN)/python benchmarks/packing.py --write
	$(BIN)/python benchmarks/eyes.py --write
	$(BIN)/python benchmarks/viewer.py --write
	@if $(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then \
		echo '$(BIN)/python benchmarks/gpu.py --write'; $(BIN)/python benchmarks/gpu.py --write; \
	else echo 'No GPU here: benchmarks/gpu.py is left out.'; fi

gpu: $(STAMP) ## use a GPU for MINUTES=9: its tests, figures and trainings (see tools/README.md)
	$(BIN)/python tools/gpu.py --minutes $(MINUTES)

body: $(STAMP) ## build the free body anew (it lies in the package already)
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --require-hashes -r requirements-body.lock
	$(BIN)/python tools/build_body.py

viewer: ## bundle the browser's half of the viewer anew; needs node and npm
	mkdir -p build/viewer
	cp -r hmrlab/viewer/js/. build/viewer
	npm --prefix build/viewer ci --ignore-scripts --no-audit --no-fund
	node build/viewer/build.mjs hmrlab/viewer/static/viewer.js

lock: $(STAMP) ## resolve the lock files anew from pyproject.toml
	$(COMPILE) --extra dev --output-file requirements.lock
	$(COMPILE) --extra body --constraint requirements.lock --output-file requirements-body.lock

COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version $(OLDEST) \
	--fork-strategy fewest --generate-hashes --no-header --no-annotate --no-emit-index-url \
	--no-emit-find-links

install: $(STAMP) ## make .venv and install what the lock file names

$(BIN)/python:
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c '$(FITS)'; then \
		echo "hmrlab needs Python $(OLDEST) to $(NEWEST). Found here:" \
			"$$(python3 --version 2>&1 || true)." >&2; \
		echo "Install one of them, or name it: make run PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi
	@"$(PYTHON)" -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "Could not make $(VENV). On Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; \
	}

# uv is many times quicker; where it cannot be had, pip installs the very same files.
$(STAMP): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what requirements.lock names into $(VENV) (once; some 5 GB with a GPU's libraries)"
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@if $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(VENV)/uv.lock; then \
		$(BIN)/uv pip install --python $(BIN)/python --no-deps --require-hashes -r requirements.lock; \
	else \
		echo "uv is not to be had; pip installs instead, more slowly"; \
		$(BIN)/python -m pip install --no-deps --require-hashes -r requirements.lock; \
	fi
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@
