package usage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

func (h host) cpuSource() string { return filepath.Join(h.proc, "stat") }

func (h host) memorySource() string { return filepath.Join(h.proc, "meminfo") }

// explainNoTimes returns what is wrong with /proc/stat.
func (h host) explainNoTimes() error {
	line, err := parseFile(h.cpuSource(), func(r io.Reader) (string, error) {
		line, err := bufio.NewReader(io.LimitReader(r, maxValueBytes)).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	})
	if err != nil {
		return err
	}
	return fmt.Errorf("parse %s: %w", h.cpuSource(), malformed("cpu and at least seven counters", line))
}

// hugePages returns how many bytes are set aside as huge pages.
func (h host) hugePages() (uint64, error) { return parseFile(h.memorySource(), parseHugePages) }
