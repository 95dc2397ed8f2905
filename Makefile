# make demo: from nothing to a word error rate. make test: the test suite. Both set up the environment first.
# VENV=/path uses or makes another environment than ./venv.

VENV ?= $(CURDIR)/venv
ENVIRONMENT = . "$(VENV)/bin/activate" &&

.PHONY: demo test lint install install-dev clean
.DEFAULT_GOAL := demo

demo: install
	$(ENVIRONMENT) cd egs/fsdd && ./run.sh

test: install-dev
	$(ENVIRONMENT) python -m pytest -q -n auto --dist loadfile

lint: install-dev
	$(ENVIRONMENT) ruff check . && ruff format --check .

install:
	tools/install.sh --venv "$(VENV)"

install-dev:
	tools/install.sh --venv "$(VENV)" --extras plots,dev
	@tools/install.sh --venv "$(VENV)" --extras lm || \
		echo "make: goes on without flashlight-text and kenlm (kenlm needs a C++ compiler); tests of the beam search are skipped"

# What recipes and tests have written; the environment, corpora that were fetched and RESULTS.md stay.
clean:
	rm -rf egs/*/data egs/*/dump egs/*/exp .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -not -path './venv/*' -prune -exec rm -rf {} +
