# Needs only Python (3.10 or newer), pip and make. Everything is installed into .venv, nothing outside it.
#
#   make demo     the main job on real data, no network needed once installed; the report is in demo/
#   make test     the whole test suite, doctests included
#   make test-encoders   the tests of the adapters of open_clip and timm, which need torchvision
#   make lint     ruff check, ruff format --check, mypy
#   make venv     only the environment; PYTHON=python3.12 make venv chooses the interpreter of a new one
#   make clean    remove .venv, demo/ and all caches

PYTHON ?= python3
PIP := .venv/bin/python -m pip --quiet --quiet --disable-pip-version-check
INSTALLED := .venv/.installed

.PHONY: venv demo test test-encoders lint lint-rules lint-format lint-types clean

venv: $(INSTALLED)
ifneq ($(origin PYTHON),file)
	@[ "$$($(PYTHON) --version)" = "$$(.venv/bin/python --version)" ] || { \
	  echo ".venv has $$(.venv/bin/python --version), not that of $(PYTHON). To make it anew: make clean, then again." >&2; \
	  exit 1; \
	}
endif

demo: venv
	.venv/bin/pointwise demo --out demo
	@echo "The result of the demo is in $(CURDIR)/demo"

# Two files at a time, each by one thread: on two cores half the time of one after the other.
test: venv
	OMP_NUM_THREADS=1 .venv/bin/pytest -n 2 --dist loadfile

# torchvision stays out of .venv itself, where transformers would try to import it beside a torch that it may not fit.
test-encoders: .venv/torchvision/.installed
	PYTHONPATH=.venv/torchvision .venv/bin/pytest tests/encoders/test_open_clip.py tests/encoders/test_timm.py

.venv/torchvision/.installed: $(INSTALLED)
	@$(PIP) install --no-deps --target .venv/torchvision torchvision==0.28.0 open_clip_torch==3.3.0 timm==1.0.31 \
	  ftfy==6.3.1 wcwidth
	@touch $@

lint: lint-rules lint-format lint-types

lint-rules: venv
	.venv/bin/ruff check .

lint-format: venv
	.venv/bin/ruff format --check .

lint-types: venv
	.venv/bin/mypy

clean:
	rm -rf .venv demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# torch goes first and alone: with it in place the second step keeps it, whichever build it is.
$(INSTALLED): pyproject.toml constraints.txt | .venv/bin/pip
	@echo "Installing pointwise with its test and lint tools into .venv (some minutes the first time) ..."
	@$(PIP) install --requirement constraints.txt || { \
	  echo "################################################################################"; \
	  echo "# $$(grep -v '^#' constraints.txt) is not offered for this Python, platform or index (see above)."; \
	  echo "# Installing without it: pip chooses torch, on Linux with several GB of CUDA packages."; \
	  echo "# To get the CPU build instead, interrupt and run"; \
	  echo "#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make venv"; \
	  echo "################################################################################"; \
	} >&2
	@$(PIP) install --editable '.[all,test,lint]'
	@touch $@
	@echo "Installed: $$(.venv/bin/python --version), torch $$(.venv/bin/python -c 'import torch; print(torch.__version__)')"

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else \
	  f"pointwise needs Python 3.10 or newer; $(PYTHON) is {sys.version.split()[0]}. Choose another: PYTHON=python3.12 make venv")'
	@$(PYTHON) -m venv .venv
