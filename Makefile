# make demo   train and evaluate the demo, say where its report is
# make photos explain photographs that scikit-image and scikit-learn ship with, by real weights from a package
# make app    explain pictures in the browser, by the same weights
# make test   the tests, but those of tests/long.txt
# make long   those of tests/long.txt, which take twice as long as all others
# make lint   style and types
# make quick  the tests that compile no large program, for a second interpreter
# make docs   the documentation, into build/site
# make bench  times beside torch and pytorch-grad-cam, where they are installed; QUICK=1: in under 6 minutes
# make peers  maps and metrics beside pytorch-grad-cam, torch-cam, captum and Quantus, in an environment of their own

PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell $(p) -c \
	'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) and print("$(p)")' 2>/dev/null)))
VENV ?= .venv
PEERS ?= $(VENV)-peers
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: demo photos app test long quick lint bench peers docs install clean

demo: install
	$(BIN)/python train.py --config configs/demo.py
	$(BIN)/python evaluate.py --config configs/demo.py

photos: $(VENV)/real
	$(BIN)/python tools/explain_photos.py

app: $(VENV)/real $(VENV)/page
	$(BIN)/python -m castream_jax.app

test: $(VENV)/page
	$(BIN)/python -m pytest -n $(JOBS) -m "not long" tests

long: $(VENV)/page
	$(BIN)/python -m pytest -n $(JOBS) -m long tests

quick: install
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not long" tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks.bench $(if $(QUICK),--quick)

peers: $(PEERS)/peers
	$(PEERS)/bin/python -m benchmarks.peers

docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 to 3.13 found; set PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev,docs]'
	touch $@

$(VENV)/real: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev,real]'
	touch $@

# With what the app's page is made with, which its tests need: 200 MB and half a minute that the demo does without.
$(VENV)/page: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev,app]'
	touch $@

# Apart from the other environment: torch and these libraries take gigabytes, and versions of their own. What cannot be
# installed is left out of the tables, which then say so.
$(PEERS)/peers: pyproject.toml constraints.txt
	$(MAKE) install VENV=$(PEERS)
	-$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev,peers]' && touch $@

clean:
	rm -rf $(VENV) $(PEERS) .cache .mypy_cache .pytest_cache .ruff_cache build *.egg-info
