# The measurements of docs/PERFORMANCE.md. They need a quiet machine; BENCH_FLAGS adds flags, such as --rounds=9 or --json.
# They are a module of their own, so that go.mod holds what the product needs, and run in its folder.
BENCH_FLAGS :=

.PHONY: bench
bench: bench-hex bench-decode bench-start bench-sidecar bench-pingpong bench-throughput ## all measurements, some 12 minutes

.PHONY: bench-throughput
bench-throughput: build envoy ## stream through one worker, with and without the plugin or Envoy's tap
	go -C bench run ./throughput $(BENCH_FLAGS)

.PHONY: bench-pingpong
bench-pingpong: build envoy ## the same with small messages back and forth
	go -C bench run ./pingpong $(BENCH_FLAGS)

.PHONY: bench-hex
bench-hex: build envoy ## the hot loop in V8 and wazero
	go -C bench run ./hex $(BENCH_FLAGS)

.PHONY: bench-start
bench-start: build envoy ## what the plugin costs at start, and its memory
	go -C bench run ./start $(BENCH_FLAGS)

.PHONY: bench-sidecar
bench-sidecar: build ## what the sidecar costs
	go -C bench run ./sidecar $(BENCH_FLAGS)

.PHONY: bench-decode
bench-decode: ## how fast dumps are decoded
	go test -run '^$$' -bench Decode -cpu 1 ./internal/capture/dumplog
