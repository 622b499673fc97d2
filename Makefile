# Everything runs in .venv, which the first target that needs it creates. PYTHON chooses another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.DEFAULT_GOAL := help
.PHONY: help demo test smoke check fmt docs bench fuzz record-goldens clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

demo: $(VENV)/.run ## replay a bundled capture through a bundled firewall
	$(BIN)/xdpsim run programs/firewall.o -r pcaps/mixed.pcap --maps programs/presets/firewall.json

test: check ## all checks and all tests
	$(BIN)/python -m xdpsim.memory.runtime
	$(BIN)/python -m pytest -q -n $(or $(JOBS),$(shell $(BIN)/python -c "import os; print(min(8, os.cpu_count() or 1))"))

smoke: $(VENV)/.dev ## the tests that tell whether another Python version runs everything
	$(BIN)/python -m xdpsim.memory.runtime
	$(BIN)/python -m pytest -q -n 2 tests/test_layers.py tests/test_fidelity.py tests/sim tests/memory \
	  tests/frames tests/engines/test_insn_cases.py tests/engines/test_programs.py

check: $(VENV)/.dev ## formatting, lint, types, layers, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py tests/test_generated.py

fmt: $(VENV)/.dev ## format the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev ## write the generated reference pages and headers
	$(BIN)/python -m docs.generate

bench: $(VENV)/.dev ## ratios against the kernel and native C (needs root)
	$(BIN)/python -m bench

fuzz: $(VENV)/.dev ## the long runs: random and hostile programs, helper chains, damaged inputs, the verifier (needs root)
	$(BIN)/python -m tests.support.long_run --programs 50000
	$(BIN)/python -m tests.fuzz.chains --count 20000 --seed 1
	$(BIN)/python -m tests.fuzz.programs --count 10000 --seed 1
	$(BIN)/python -m tests.fuzz.inputs --count 100000 --seed 1
	$(BIN)/python -m tests.fuzz.verifier --count 200000 --seed 1
	$(BIN)/python -m tests.fuzz.soundness --count 20000 --seed 1

record-goldens: $(VENV)/.dev ## ask Linux 6.18 (the running one, as root) again, or with LINUX=6.1 or 6.12 one under qemu
ifdef LINUX
	$(BIN)/python -m tests.guest.record $(LINUX)
else
	$(BIN)/python -m tests.support.record
	$(BIN)/python -m tests.support.record_linux
endif

clean: ## remove what was built here
	rm -rf $(VENV) build dist xdpsim/memory/bitcode .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "xdpsim needs Python 3.11 or later; found $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "this Python cannot make virtual environments; run: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml hatch_build.py
	$(PIP) install -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml hatch_build.py
	$(PIP) install -e '.[dev]'
	@touch $(VENV)/.run $@
