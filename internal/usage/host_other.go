//go:build !linux

package usage

import (
	"errors"
	"runtime"
)

// The kernel is asked directly: there is no file to name.

func (host) cpuSource() string { return runtime.GOOS + " cpu counters" }

func (host) memorySource() string { return runtime.GOOS + " memory counters" }

func (h host) explainNoTimes() error { return errors.New("got none from " + h.cpuSource()) }

func (host) hugePages() (uint64, error) { return 0, nil }
