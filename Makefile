PYTHON ?= python

.PHONY: check test docs bench

check:            ## lint and types
	$(PYTHON) -m ruff format --check src tests tools benchmarks
	$(PYTHON) -m ruff check src tests tools benchmarks
	$(PYTHON) -m mypy

test:             ## the whole suite
	$(PYTHON) -m pytest

docs:             ## docs/rules.md and docs/config.md from the docstrings, docs/recipes.md from recipes.yaml; the site under site/
	$(PYTHON) tools/make_docs.py
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

bench:            ## the configs under benchmarks/configs on the development data sets
	$(PYTHON) benchmarks/run.py
