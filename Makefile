# Two things people type: `make demo` (the beta study on synthetic conversations) and `make test` (everything that CI checks).
# Both make .venv first; it is made again only when pyproject.toml or constraints.txt change.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint unit audit bench soak ui lock help

help:
	@echo "make demo   beta sensitivity of DF-ERC on synthetic conversations: report, figure, MLflow runs"
	@echo "make test   style, types and all tests"
	@echo "make lint   style and types only"
	@echo "make unit   tests that start no cluster"
	@echo "make audit  known holes in the locked packages, where their list can be reached"
	@echo "make bench  throughput, cost of a trial, memory of a worker"
	@echo "make soak   break a cluster at random for MINUTES=20 and count what is lost, duplicated, changed"
	@echo "make ui     MLflow's pages on this machine"
	@echo "make lock   resolve the newest versions into constraints.txt"

demo: .venv/installed
	$(BIN)/dferc study beta

# Two at a time: what shares a cluster, what starts its own, and all others; more would starve each other on two cores.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=benchmarks $(BIN)/mypy benchmarks

unit: .venv/installed
	$(BIN)/python -m pytest -m "not cluster"

audit: .venv/installed
	$(BIN)/python -m pip check
	$(BIN)/python .ci/audit.py

bench: .venv/installed
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/trial_cost.py
	$(BIN)/python benchmarks/memory.py

MINUTES ?= 20
soak: .venv/installed
	$(BIN)/python benchmarks/soak.py --minutes $(MINUTES)

ui: .venv/installed
	$(BIN)/dferc ui

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "dferc needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || \
	    { echo "$(PYTHON) cannot make virtual environments; Debian and Ubuntu have them in the package python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

# torch stays as it is until it is changed by hand, and its CUDA libraries stay out, because torch itself names their exact versions: so the
# lock fits CPU and GPU builds alike.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	grep '^torch==' constraints.txt > build/lock/torch.txt
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check -c build/lock/torch.txt ".[dev]"
	build/lock/bin/python -m pip check
	build/lock/bin/python -m pip freeze --exclude dferc | sed 's/+cpu$$//' | grep -vE '^(nvidia-|cuda-|triton)' > constraints.txt
	rm -rf build/lock
