PYTHON ?= python

.PHONY: check test soak docs bench

check:            ## lint and types
	$(PYTHON) -m ruff format --check src tests tools benchmarks
	$(PYTHON) -m ruff check src tests tools benchmarks
	$(PYTHON) -m mypy

test:             ## the whole suite
	$(PYTHON) -m pytest -n 2 --dist worksteal

soak:             ## kills, flipped bytes and full disks many times over; about half an hour, the full disks as root
	OMP_NUM_THREADS=1 PYTHONPATH=tests:tests/train $(PYTHON) tests/soak.py
	EXACTUNE_SOAK_FLIPS=1000 EXACTUNE_SOAK_SIZES=120 $(PYTHON) -m pytest -rs tests/train/test_checkpoints.py tests/train/test_disk.py

docs:             ## docs/rules.md and docs/config.md from the docstrings, docs/recipes.md from recipes.yaml; the site under site/
	$(PYTHON) tools/make_docs.py
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

bench:            ## the configs under benchmarks/configs on the development data sets
	$(PYTHON) benchmarks/run.py
