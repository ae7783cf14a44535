# The tools, pinned. They run with `go run`, so that they are never in go.mod.
GOFUMPT       := go run mvdan.cc/gofumpt@v0.12.0
GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BENCHSTAT     := go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
