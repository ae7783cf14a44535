// Package guest builds modules for the proxies of tests and measurements: the plugin, and guests that do what the plugin
// never does. Only tests and measurements import it.
package guest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Env returns the environment in which Go's commands see a guest's sources: that of this process, for wasip1.
func Env() []string { return append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=") }

// Build builds the main package at source, a folder or a file as `go build` takes it, as `make build` builds the plugin,
// and writes the module to the path out. What is built depends on the sources alone, not on the commit, so that it is found
// compiled if it has not changed.
func Build(ctx context.Context, out, source string) error {
	build := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, source)
	build.Env = Env()
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build guest %s: %w\n%s", source, err, text)
	}
	return nil
}
