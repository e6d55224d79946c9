# One command does everything, on a bare Debian 12 or 13: .ci/setup installs what is missing.
# Words of the demo: DIR (folder), PORT, MODEL (folder in Mistral's format), VECTORS=non, GATEWAYS.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

DIR ?= demo
PORT ?= 8080
GATEWAYS ?= 2
BIN := .venv/bin
PYTEST := $(BIN)/pytest -p no:cacheprovider

.PHONY: rehearsal rehearsal-proofs rehearsal-adversity site-locks parts-log parts-web help demo smoke test check types pure lint bench deep demo-falsify ready-demo ready-test
help:
	@sed -n 's/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST)) | head -2
	@echo "make demo | test | smoke | check | bench | demo-falsify | deep | rehearsal | rehearsal-proofs | rehearsal-adversity"

ready-demo:
	@.ci/setup packages demo
	@.ci/setup venv
	@.ci/setup vllm
	@.ci/setup assets
	@.ci/setup keycloak

ready-test:
	@.ci/setup packages test
	@$(MAKE) ready-demo

demo:
	@.ci/setup packages demo
	@.ci/setup early "$(DIR)" $(PORT) "$(MODEL)" "$(VECTORS)"
	@$(MAKE) ready-demo
	@exec $(BIN)/casemate demo run --dir "$(DIR)" --port $(PORT) --gateways $(GATEWAYS) \
	  $(if $(MODEL),--model "$(MODEL)") $(if $(filter non no,$(VECTORS)),--no-vectors)

# Edits a copy of the demo's log, then shows what verification says of it: it must say so.
demo-falsify:
	@.ci/setup venv
	@test -e "$(DIR)/log/verifier-key" || { echo "casemate : pas de journal dans $(DIR) ; lancez d’abord « make demo »." >&2; exit 1; }
	@copy=$$(mktemp -d)/journal; trap 'rm -rf "$$(dirname "$$copy")"' EXIT; \
	  $(BIN)/casemate audit falsify "$(DIR)/log" --out "$$copy"; \
	  code=0; $(BIN)/casemate audit verify "$$copy" --key "$(DIR)/log/verifier-key" || code=$$?; \
	  (( code == 1 )) || { echo "casemate : la falsification n’a pas été vue (code $$code)." >&2; exit 1; }

smoke: ready-demo
	@exec $(BIN)/casemate smoke

# Lint, types and pure tests, under two minutes once the environment is there.
check:
	@.ci/setup packages test
	@.ci/setup venv
	@.ci/setup assets
	@$(MAKE) -j 2 --output-sync=recurse types pure

types:
	@.ci/lane types 300 $(MAKE) lint

pure:
	@.ci/lane pure 240 $(PYTEST) -q -m "not db and not stack and not process"

lint:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pyright

test: ready-test
	@.ci/lane lint 600 $(MAKE) lint
	@.ci/lane parts 2400 $(MAKE) -j 2 --output-sync=target parts-log parts-web
	@.ci/lane stack 1800 $(PYTEST) -m stack tests/stack tests/site/test_smoke.py

# Two at a time: each starts a database of its own, and both wait for disks more than they compute.
LOG_TESTS := tests/audit tests/ledger tests/rag tests/db tests/install tests/playbooks
parts-log:
	@$(PYTEST) -m "not stack" $(LOG_TESTS)
parts-web:
	@$(PYTEST) -m "not stack" tests $(LOG_TESTS:%=--ignore=%)

bench: ready-test
	@.ci/setup packages bench
	@.ci/setup litellm
	@.ci/lane bench 3000 $(BIN)/python -m bench.run

# Everything too long for each change; build/deep.json is committed as docs/results/deep-DATE.json.
deep: ready-test
	@rm -f build/deep.json
	@code=0; CASEMATE_KILLS=$${CASEMATE_KILLS:-50} CASEMATE_RESULTS=$(CURDIR)/build/deep.json \
	  .ci/lane deep 7200 $(PYTEST) -q -m stack tests/stack || code=$$?; \
	  cat build/deep.json; exit $$code

# What a bundle holds, renewed: wheels by uv, packages by the machine's apt. Review the difference.
site-locks:
	@.ci/setup venv
	@.ci/setup site_locks

# From a bare Debian without network to a cited answer, in a container of systemd. As root: it
# makes network namespaces. The figures: build/rehearsal.json. Its goal is 1800 s on two cores.
# rehearsal-proofs goes on: BP-028, the tests of SQL on PostgreSQL 17, people at the rack.
SHORT := --to "secrets and sockets"
rehearsal rehearsal-proofs:
	@.ci/setup root $@
	@.ci/setup packages rehearsal
	@$(MAKE) ready-demo
	@.ci/lane $@ $(if $(filter %proofs,$@),3600,2700) \
	  $(BIN)/python -m tests.rehearsal.run $(if $(filter %proofs,$@),,$(SHORT))

# The real installer with a wrong clock, full disks, kills and failures; sticks of FAT32 and exFAT.
# As root. Each message that was shown: build/adversity.json.
rehearsal-adversity:
	@.ci/setup root rehearsal-adversity
	@.ci/setup packages test
	@.ci/setup venv
	@.ci/setup assets
	@.ci/setup packages rehearsal
	@.ci/setup packages adversity
	@.ci/lane adversity 1800 $(BIN)/python -m tests.rehearsal.adversity
