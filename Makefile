# make run: set up, then Baton with a real demo. make test: set up, then the checks and the tests (ten minutes at most).
SHELL := /bin/bash
BIN := .venv/bin
NAMED := $(if $(T),-k "$(T)")
# In CI a test that fails is tried again, at most twice, and named at the end: other work on its two cores can starve a
# real browser for seconds. On a developer's machine it fails at once.
AGAIN := $(if $(CI),--reruns 2 --reruns-delay 1 -rR)

# Most tests wait for a browser: two at a time, each file with its fixtures in one process. PARALLEL= runs one at a time.
PARALLEL ?= -n 2 --dist loadfile

.PHONY: help run serve demo-setup setup test test-full lint types imports check format lock screens bench-handoff bench-control bench-stream bench-stream-report bench-peers clean

help:            ## what there is
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run:             ## set up, then start Baton and the demo
	@docker/install demo
	@$(BIN)/baton demo $(ARGS)

serve:           ## set up, then start Baton without the demo
	@docker/install run
	@$(BIN)/baton serve $(ARGS)

setup:           ## set up for development
	@docker/install dev

lint:
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types:
	@$(BIN)/mypy

imports:
	@$(BIN)/lint-imports

check: setup lint types imports  ## linter, formatter, types, import rules, sizes, docs

test: check      ## all checks, then the test suite; T=name runs some
	@$(BIN)/python -m pytest -m "not full" $(PARALLEL) $(AGAIN) $(NAMED)

test-full: setup ## the long races and soaks
	@$(BIN)/python -m pytest -m "full" $(AGAIN) $(NAMED)

bench-handoff: setup ## what a handoff costs in time
	@$(BIN)/python -m bench.handoff

bench-control: setup ## races, broker, gate, diff and detector at full length; PARTS=
	@$(BIN)/python -m bench.control $(PARTS)

bench-stream: setup ## the stream beside every installed peer; LINKS=, SUBJECTS=, REPEAT=, RULERS=
	@$(BIN)/python -m bench.stream

bench-stream-report: ## docs/stream-results.md from the last run
	@$(BIN)/python -m bench.stream.report $(or $(RESULTS),var/bench-stream.json)

bench-peers:     ## install the peers to measure against (needs root for Debian packages)
	@bench/peers/install

format:          ## format the sources
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .

screens: setup   ## render the console's screens into docs/screens
	@$(BIN)/python docs/screens.py

lock:            ## pin requirements anew (needs uv on PATH)
	@cd requirements && for list in run dev demo uv bench; do \
	  uv pip compile -q --universal --upgrade --python-version 3.12 --generate-hashes --no-header --no-annotate --no-emit-index-url $$list.in -o $$list.txt; done

clean:           ## remove everything that set-up made
	@rm -rf .venv .venv-demo .venv-peers .tools node_modules
