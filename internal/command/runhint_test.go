package command

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefusePlugin(t *testing.T) {
	envoy, err := os.ReadFile("../../envoy.yaml")
	require.NoError(t, err)
	tests := []struct {
		name, text string
		refused    bool
	}{
		{"a plugin's JSON", `{"strategy": {"switch": "ON"}, "capture": {"unit": "connections"}}`, true},
		{"one key", `{"capture": {"unit": "connections"}}`, true},
		{"YAML", "resource_guard: \"off\"\n", true},
		{"Envoy's", string(envoy), false},
		{"neither", `{"unit": "connections"}`, false},
		{"empty", "", false},
		{"malformed", "{", false},
		{"several", "strategy: {}\n---\nstrategy: {}\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "plugin.json")
			require.NoError(t, os.WriteFile(file, []byte(test.text), 0o600))
			err := refusePlugin(file)
			if !test.refused {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "read "+file+": this is a plugin's configuration, which goes into Envoy's, as the plugin's \"configuration\": "+
				"envoy.yaml is an example, docs/OPERATIONS.md says more; l4dump check judges this file")
			code, stdout, stderr := runCommand("", "run", "-c", file, "--format", "log")
			require.Equal(t, 1, code)
			require.Empty(t, stdout)
			require.Equal(t, "l4dump: "+err.Error()+"\n", stderr)
		})
	}
	require.NoError(t, refusePlugin(t.TempDir()+"/none"))
}

func TestSidecarHint(t *testing.T) {
	const (
		line = "x: no answer from cluster l4dump-sidecar (status 503)\n"
		hint = "l4dump: no sidecar runs at 127.0.0.1:9911, the address of that cluster, and without one nothing is recorded: start it with --sidecar 127.0.0.1:9911\n"
	)
	unknown := func(string) string { return "" }
	tests := []struct {
		name    string
		address func(string) string
		writes  []string
		want    string
	}{
		{"never", nil, []string{"a\n", "no answer\n"}, "a\nno answer\n"},
		{"once", nil, []string{"a\n", line, line, "b\n"}, "a\n" + line + hint + line + "b\n"},
		{"in several writes", nil, []string{"a\n" + line[:30], line[30:40], line[40:] + "b", "c\n"}, "a\n" + line + hint + "bc\n"},
		{"a line that does not end", nil, []string{line[:len(line)-1]}, line[:len(line)-1]},
		{"after the longest part", nil, []string{strings.Repeat("a", maxPartialLine+1), "\n" + line}, strings.Repeat("a", maxPartialLine+1) + "\n" + line + hint},
		{"an address that is not known", unknown, []string{line}, line + "l4dump: no sidecar runs at the address of that cluster, and without one nothing is recorded: start it there with --sidecar HOST:PORT\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got strings.Builder
			address := test.address
			if address == nil {
				address = clusterAddresses("../../envoy.yaml")
			}
			h := &sidecarHint{next: &got, address: address}
			for _, text := range test.writes {
				n, err := h.Write([]byte(text))
				require.NoError(t, err)
				require.Equal(t, len(text), n)
			}
			require.Equal(t, test.want, got.String())
		})
	}
}

func TestClusterAddresses(t *testing.T) {
	of := clusterAddresses("../../envoy.yaml")
	require.Equal(t, "127.0.0.1:10001", of("service"))
	require.Empty(t, of("none"))
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	piped := changedEnvoyYAML(t, "socket_address: {address: 127.0.0.1, port_value: 9911}", "pipe: {path: /run/sidecar.sock}")
	require.NoError(t, os.WriteFile(file, []byte(piped), 0o600))
	require.Equal(t, "unix:///run/sidecar.sock", clusterAddresses(file)("l4dump-sidecar"))
	require.Empty(t, clusterAddresses(t.TempDir()+"/none")("service"))
}

func TestNotices(t *testing.T) {
	tests := []struct {
		name, format string
		onlyStdout   bool
		stdout       string
	}{
		{"the log goes elsewhere", formatLog, true, "listener\n"},
		{"the log is on the terminal", formatLog, false, ""},
		{"the terminal shows the dump", formatText, true, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			flags := runFlags{format: test.format}
			_, err := io.WriteString(flags.notices(&stdout, &stderr, test.onlyStdout), "listener\n")
			require.NoError(t, err)
			require.Equal(t, "listener\n", stderr.String())
			require.Equal(t, test.stdout, stdout.String())
		})
	}
}
