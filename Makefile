# Every target sets up what it needs: a .venv from the locked, hashed requirements. Needs Python 3.11+, make and git.
.DEFAULT_GOAL := demo
.PHONY: demo ui test lint bench lock clean

PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
BIN := .venv/bin
INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode
COMPILE = $(BIN)/uv pip compile --quiet --generate-hashes --universal --no-emit-index-url --python-version 3.11 \
	-c requirements/constraints.txt --override requirements/overrides.txt \
	--custom-compile-command "make lock"

# Bytecode is kept whatever the environment says: the demo would compile us anew, and so would tests' forty processes.
export PYTHONDONTWRITEBYTECODE =

demo: .venv/.run
	@$(BIN)/gusto-pipeline demo

ui: .venv/.run
	@$(BIN)/gusto-pipeline ui $(if $(wildcard pipeline.yaml),,--demo)

test: .venv/.dev
	$(BIN)/pytest -n 2 --dist loadfile

lint: .venv/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

bench: .venv/.bench
	$(BIN)/python -m benchmarks

lock: .venv/.uv
	$(COMPILE) pyproject.toml -o requirements/run.txt
	$(COMPILE) -c requirements/run.txt pyproject.toml --group dev -o requirements/dev.txt
	$(COMPILE) -c requirements/run.txt pyproject.toml --group dev --group bench -o requirements/bench.txt

clean:
	rm -rf .venv

.venv/.uv: requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "gusto_pipeline needs Python 3.11 or newer on the PATH."; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# dev contains run, and bench contains dev, at the same versions: installing one never undoes another.
.venv/.%: requirements/%.txt pyproject.toml .venv/.uv
	@echo "Setting up .venv ($*) …"
	@$(INSTALL) --no-deps --require-hashes -r $<
	@$(INSTALL) --no-deps -e .
	@touch $@
