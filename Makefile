# Two commands do everything, set-up included: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out

# The study has an environment of its own, as PyTorch is large. TORCH is what pip installs as PyTorch: the path of a
# wheel, or a requirement; the one for a CPU suffices.
STUDY_VENV := .venv-study
STUDY_BIN := $(STUDY_VENV)/bin
TORCH ?= torch
STUDY_OUT ?= out-study

.PHONY: run study test test-all test-study test-pythons lint types docs clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(STUDY_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(STUDY_VENV)
	$(STUDY_BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(STUDY_BIN)/pip install --quiet --disable-pip-version-check --editable '.[study]' hypothesis pytest pytest-xdist
	@touch $@

run: $(VENV)/installed  ## sample, deduplication and the six mixtures, into $(OUT)
	$(BIN)/slimpajama run sample --output $(OUT)

study: $(STUDY_VENV)/installed  ## six mixtures of the sample, three seeds of the smallest model, into $(STUDY_OUT)
	$(STUDY_BIN)/slimpajama run sample --output $(STUDY_OUT) --set tokens.vocabulary=2048 --quiet
	$(STUDY_BIN)/slimpajama study configs/study/sample.yaml --input $(STUDY_OUT) --output $(STUDY_OUT)/study

test: $(VENV)/installed lint types  ## lint, types and all tests but sweeps and long whole runs
	$(BIN)/pytest -n auto -m "not slow"

test-all: $(VENV)/installed lint types  ## lint, types and every test, with more examples of each property
	$(BIN)/pytest -n auto --hypothesis-profile=thorough

test-study: $(STUDY_VENV)/installed  ## what needs PyTorch: the study, and reading a mixture to train on it
	$(STUDY_BIN)/pytest -n auto tests/study tests/training

test-pythons:  ## the quick tests on the oldest and the newest Python that are installed
	./scripts/test_pythons

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

docs: $(VENV)/installed  ## the site of docs/ in build/site; rendered pages are made anew, a broken link fails
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(BIN)/python docs/render_settings.py
	$(BIN)/python docs/render_cli.py
	$(BIN)/python docs/render_api.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open build/site/index.html"

clean:
	rm -rf $(VENV) $(STUDY_VENV) $(OUT) $(STUDY_OUT) build dist .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
