# The measurements of docs/PERFORMANCE.md, whose tables they print as they stand there. They need a quiet machine; BENCH_FLAGS
# adds flags, such as --rounds=9 or --json.
# They are a module of their own, so that go.mod holds what the product needs, and run in its folder.
BENCH_FLAGS :=

.PHONY: bench
bench: bench-cost bench-start ## what recording costs, and what a start does: the tables of docs and README, some 30 minutes

.PHONY: bench-all
bench-all: bench bench-hex bench-decode bench-sidecar bench-replay ## all measurements, some 40 minutes

.PHONY: bench-cost
bench-cost: build envoy ## what recording costs a worker, with each way to record and Envoy's tap
	go -C bench run ./cost --dir /dev/shm $(BENCH_FLAGS)

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
bench-decode: build ## how fast dumps are decoded, and the memory that it takes, beside text2pcap (make debian)
	go -C bench run ./decode $(BENCH_FLAGS)
	go test -run '^$$' -bench Decode -cpu 1 ./internal/capture/dumplog

.PHONY: bench-replay
bench-replay: build ## how fast recordings are played, beside wrk and redis-benchmark (Debian: nginx-light wrk redis)
	go -C bench run ./replay --dir /dev/shm $(BENCH_FLAGS)
