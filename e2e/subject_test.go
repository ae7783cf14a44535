// Package e2e runs the same scenarios in every proxy that can run the plugin: the embedded engine and real Envoys. Each
// scenario starts the proxy as a user does, on the envoy.yaml that users copy, and judges it from outside: by the bytes
// that pass, the log, and the admin interface.
//
// make builds what it needs. These variables of the environment point elsewhere:
//
//	E2E_MODULE  the plugin's module   build/l4dump.wasm
//	E2E_L4DUMP  the command line      build/l4dump
//	E2E_ENVOYS  a folder with <version>/bin/envoy for each version of versions.mk   build/envoy
package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// workers is how many workers each proxy has.
const workers = 2

// subject is a proxy that runs the plugin.
type subject struct {
	name   string
	binary string
	remedy string // what makes a missing binary
	args   func(launch) []string
}

// launch is how a subject is started.
type launch struct {
	config    string // path of its configuration
	admin     string // path of the file that it writes its admin interface's address to
	wasmLevel string // log level of what plugins say
}

// subjects returns the proxies under test.
func subjects(t *testing.T) []subject {
	t.Helper()
	all := []subject{{
		name:   "engine",
		binary: path(t, "E2E_L4DUMP", "build/l4dump"),
		remedy: "make build",
		args: func(l launch) []string {
			return []string{
				"run", "-c", l.config, "--format", "log", "--concurrency", strconv.Itoa(workers),
				"--admin-address-path", l.admin, "--component-log-level", "wasm:" + l.wasmLevel,
			}
		},
	}}
	for _, version := range envoyVersions(t) {
		all = append(all, subject{
			name:   "envoy-" + version,
			binary: filepath.Join(path(t, "E2E_ENVOYS", "build/envoy"), version, "bin", "envoy"),
			remedy: "make envoy",
			args: func(l launch) []string {
				return []string{
					"-c", l.config, "--concurrency", strconv.Itoa(workers), "--disable-hot-restart",
					"--admin-address-path", l.admin, "--component-log-level", "wasm:" + l.wasmLevel,
				}
			},
		})
	}
	return all
}

// onEach runs a scenario on each subject, side by side.
func onEach(t *testing.T, scenario func(t *testing.T, s subject)) {
	t.Helper()
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.require(t)
			scenario(t, s)
		})
	}
}

// require skips the test where the subject is not installed, or fails it in CI.
func (s subject) require(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath(s.binary); err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err, "%s is missing, and CI tests all of them: run %q", s.name, s.remedy)
		}
		t.Skipf("skipped without %s (%v): run %q; Envoy needs Python", s.name, err, s.remedy)
	}
}

var versionsPattern = regexp.MustCompile(`(?m)^ENVOY_VERSIONS := (.+)$`)

func envoyVersions(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("versions.mk")
	require.NoError(t, err)
	match := versionsPattern.FindSubmatch(text)
	require.NotNil(t, match, "no ENVOY_VERSIONS in versions.mk")
	return strings.Fields(string(match[1]))
}

// module returns the path of the plugin's module. Go alone builds it, so that it is never missing with good reason.
func module(t *testing.T) string {
	t.Helper()
	name := path(t, "E2E_MODULE", "build/l4dump.wasm")
	_, err := os.Stat(name)
	require.NoError(t, err, `the plugin's module is missing: run "make build"`)
	return name
}

// path returns the absolute path in the environment's variable, or by default one from the repository's root.
func path(t *testing.T, variable, byDefault string) string {
	t.Helper()
	if name := os.Getenv(variable); name != "" {
		require.True(t, filepath.IsAbs(name), "%s=%s: want an absolute path", variable, name)
		return name
	}
	name, err := filepath.Abs(filepath.Join("..", byDefault))
	require.NoError(t, err)
	return name
}
