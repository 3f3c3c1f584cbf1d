# Everything a newcomer needs; it wants nothing but make and Python 3.11 or later.

SHELL := /bin/bash
# Modules are compiled once, and not again in each process that the tests start.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help install run demo test test-all test-clock check format lock bench packages prometheus-demo clean

BIN := .venv/bin
# The first interpreter that is new enough; PYTHON=... names another one.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null \
	&& { command -v "$$name"; break; }; done)
# Run the marked tests only, when `make test` has just run all others.
TESTED ?=
# What Python alone cannot bring.
DEBIAN_PACKAGES := prometheus prometheus-node-exporter prometheus-alertmanager chromium curl victoria-metrics glewlwyd
MARKED := debian or shared
# One worker more than there are cores: some tests wait for processes that they started.
PYTEST = $(BIN)/pytest -n $$($(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)') \
	--dist worksteal --durations 10
MINUTES ?= 5

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

install: .venv/.compiled ## Set everything up, and nothing else

run: install ## Set everything up and start the product; PORT= says where
	@exec $(BIN)/anomify up $(if $(PORT),--port $(PORT))

demo: install ## The same with an org full of metrics, and this machine's own
	@exec $(BIN)/anomify demo $(if $(PORT),--port $(PORT))

test: check ## Set everything up, pass the gate and every test that Python alone can run
	$(PYTEST) -m "not ($(MARKED))"

test-all: $(if $(TESTED),install,check) packages ## Install what may be installed and run every test there is
	$(PYTEST) $(if $(TESTED),-m "$(MARKED)")
	$(MAKE) test-clock

# Eight hours of a day, 29 February, the last day of a month, and the days when clocks change.
CLOCK_MOMENTS := 2026-12-02T00:00:05 2026-12-02T03:59:50 2026-12-02T07:30:00 2026-12-02T11:59:55 \
	2026-12-02T15:15:15 2026-12-02T19:37:00 2026-12-02T20:00:01 2026-12-02T23:58:30 \
	2028-02-29T12:10:00 2026-11-30T23:59:20 \
	2027-03-28T01:59:30@Europe/Berlin 2027-10-31T02:30:00@Europe/Berlin \
	2027-03-14T01:59:30@America/New_York 2027-11-07T01:30:00@America/New_York
# What goes by the time of the day or by the calendar: judging and rebuilding (chunks end at fixed
# hours), retention, windows of questions, rankings and counts by day, ticks of charts, silences,
# letters, sessions and the audit trail. The other tests work on values or set the clock themselves.
# One kind of database is enough: moments are made and compared by the same code for both.
CLOCK_TESTS := tests/house/test_clock.py tests/worker/test_rebuild.py tests/worker/test_analyse.py \
	tests/worker/test_no_data.py tests/worker/test_checkpoints.py tests/worker/test_judged_counts.py \
	tests/worker/test_exclusions.py tests/anomaly tests/audit tests/org tests/silence \
	tests/page_event tests/metric/test_retention.py tests/metric/test_status.py \
	tests/native/test_window.py tests/native/test_misc.py tests/native/metric/test_ranking.py \
	tests/rendering/test_ticks.py tests/user/test_session.py

test-clock: install ## The tests that depend on time, with the clock at moments that are special
	TEST_CLOCK="$(CLOCK_MOMENTS)" $(PYTEST) -m "not ($(MARKED))" -k "not postgresql" $(CLOCK_TESTS)

check: install ## The gate: format, lint, types, the order of imports, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry .

format: install ## Format, and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install ## Measure every promise that has a figure, each beside its anchor
	@set -e; for program in benchmarks/*.py benchmarks/detection/scoring.py; do echo "== $$program"; $(BIN)/python $$program; done

prometheus-demo: install packages ## A real Prometheus writes to the product for MINUTES, with a restart in between
	PROMETHEUS_MINUTES=$(MINUTES) $(BIN)/pytest -s tests/journey/test_prometheus.py

# uv is no dependency of the project; it only writes the lock. UV= names one that is not on the path.
UV ?= uv
lock: ## Write requirements.lock anew from pyproject.toml
	$(UV) pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --output-file requirements.lock

packages:
	@missing=$$(for package in $(DEBIAN_PACKAGES); do \
		dpkg-query -W -f '$${Status}' "$$package" 2>/dev/null | grep -q 'ok installed' || echo "$$package"; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $$missing >/dev/null \
			|| echo "Not all of $$missing could be installed; the tests that need them say so."; \
	else \
		echo "Some tests need Debian packages, and only root may install them:"; \
		echo "  sudo apt-get install" $$missing; \
		echo "Without them those tests fail, saying so."; \
	fi

clean: ## Remove what `make install` made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache

.venv/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Anomify needs Python 3.11 to 3.14, and there is none here:" \
			"$$(python3 --version 2>&1 || true). Install one, or name it: make PYTHON=/path/to/python3"; \
		exit 1; fi
	@rm -rf .venv
	@"$(PYTHON)" -m venv .venv || { rm -rf .venv; \
		echo "Python could not make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }

.venv/.installed: .venv/bin/python requirements.lock pyproject.toml
	@echo "Installing what requirements.lock names ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
		--require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
		--no-deps --no-build-isolation -e .
	@touch $@

.venv/.compiled: .venv/.installed $(wildcard anomify/detection/*.py)
	@echo "Compiling the engine ..."
	@$(BIN)/python -m anomify.detection.compile
	@touch $@
