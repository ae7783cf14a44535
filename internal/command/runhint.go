package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"

	"l4dump/internal/diagnosis"
	"l4dump/internal/proxy"
)

// refusePlugin returns an error if a file holds a plugin's configuration instead of Envoy's. A file that cannot be read
// is left to whoever reads it next.
func refusePlugin(file string) error {
	text, err := os.ReadFile(file)
	if err != nil || !diagnosis.IsPlugin(text) {
		return nil
	}
	return fmt.Errorf("read %s: this is a plugin's configuration, which goes into Envoy's, as the plugin's \"configuration\": "+
		"envoy.yaml is an example, docs/OPERATIONS.md says more; l4dump check judges this file", file)
}

// clusterAddresses returns a function from the names of a file's clusters to their addresses, "" of what is not known.
func clusterAddresses(file string) func(cluster string) string {
	config, err := proxy.Load(file)
	if err != nil { // only Envoy can run it
		return func(string) string { return "" }
	}
	return config.ClusterAddress
}

// unanswered is the plugin's line when its sidecar does not answer.
var unanswered = regexp.MustCompile(`no answer from cluster (\S+) \(status [^)]*\)[^\n]*\n`)

// maxPartialLine is how much of a line is kept that has not ended, in bytes.
const maxPartialLine = 4 << 10

// sidecarHint passes a log on, and after the first line in which a plugin misses its sidecar says how to start one.
type sidecarHint struct {
	next    io.Writer
	address func(cluster string) string
	partial []byte // of a line that has not ended
	said    bool
}

// Write implements io.Writer.
func (h *sidecarHint) Write(text []byte) (int, error) {
	if h.said {
		return h.next.Write(text)
	}
	lines := text
	if len(h.partial) > 0 {
		lines = slices.Concat(h.partial, text)
	}
	match := unanswered.FindSubmatchIndex(lines)
	if match == nil {
		h.partial = append(h.partial[:0], lines[bytes.LastIndexByte(lines, '\n')+1:]...)
		h.partial = h.partial[:min(len(h.partial), maxPartialLine)]
		return h.next.Write(text)
	}
	end := match[1] - len(h.partial) // the line ends in text, else it had been found before
	hint := h.hint(string(lines[match[2]:match[3]]))
	h.said, h.partial = true, nil
	if n, err := h.next.Write(text[:end]); err != nil {
		return n, err
	}
	if _, err := io.WriteString(h.next, hint); err != nil {
		return end, err
	}
	n, err := h.next.Write(text[end:])
	return end + n, err
}

func (h *sidecarHint) hint(cluster string) string {
	if address := h.address(cluster); address != "" {
		return fmt.Sprintf("l4dump: no sidecar runs at %s, the address of that cluster, and without one nothing is recorded: start it with --sidecar %s\n",
			address, address)
	}
	return "l4dump: no sidecar runs at the address of that cluster, and without one nothing is recorded: start it there with --sidecar HOST:PORT\n"
}
