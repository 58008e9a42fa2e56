# Two commands: `make demo` and `make test`. Each sets up .venv first, if it is not there yet.
PYTHON ?= python3
V := .venv

demo: $(V)/.ok
	$(V)/bin/nanoraster demo --out runs

test: $(V)/.ok
	$(V)/bin/python -m pytest -q -n 2

lint: $(V)/.ok
	$(V)/bin/ruff check .
	$(V)/bin/ruff format --check .
	$(V)/bin/mypy
	$(V)/bin/lint-imports

$(V)/.ok: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(V)
	$(V)/bin/python -m pip install -q -c constraints.txt -e ".[dev]"
	touch $@

.PHONY: demo test lint
