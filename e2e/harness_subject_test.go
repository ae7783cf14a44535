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
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// workers is how many workers each proxy has.
const workers = 2

// engine is the name of the embedded engine.
const engine = "engine"

// subject is a proxy that runs the plugin.
type subject struct {
	name   string
	binary string
	remedy string // what to run if the binary is missing
	args   func(launch) []string
	admin  func(launch) string // address of the admin interface, once it is known
}

// launch is how a subject is started.
type launch struct {
	config    string // path of its configuration
	log       string // path of its standard error
	admin     string // path of the file to which Envoy writes its admin interface's address
	wasmLevel string // log level of what plugins say
}

// subjects returns the proxies under test.
func subjects(t *testing.T) []subject {
	t.Helper()
	all := []subject{{
		name:   engine,
		binary: commandLine(t),
		remedy: "make build",
		args: func(l launch) []string {
			return []string{
				"run", "-c", l.config, "--format", "log", "--concurrency", strconv.Itoa(workers), "--log-level", l.wasmLevel,
			}
		},
		admin: func(l launch) string {
			log, err := os.ReadFile(l.log)
			if match := engineAdmin.FindSubmatch(log); err == nil && match != nil {
				return string(match[1])
			}
			return ""
		},
	}}
	for _, version := range envoyVersions(t) {
		all = append(all, subject{
			name:   "envoy-" + version,
			binary: filepath.Join(path(t, "E2E_ENVOYS", "build/envoy"), version, "bin", "envoy"),
			remedy: "make envoy (which needs Python)",
			args: func(l launch) []string {
				return []string{
					"-c", l.config, "--concurrency", strconv.Itoa(workers), "--disable-hot-restart",
					"--admin-address-path", l.admin, "--component-log-level", "wasm:" + l.wasmLevel,
				}
			},
			admin: func(l launch) string {
				address, err := os.ReadFile(l.admin)
				if err != nil {
					return "" // not yet
				}
				return string(address)
			},
		})
	}
	return all
}

// engineAdmin is how the engine says where its admin interface is.
var engineAdmin = regexp.MustCompile(`(?m)^l4dump: administration on http://(\S+)$`)

// onEach runs a scenario on each subject, side by side.
func onEach(t *testing.T, scenario func(t *testing.T, s subject)) {
	t.Helper()
	on(t, subjects(t), scenario)
}

// onEnvoys runs a scenario on the Envoys only, with what the engine does not support.
func onEnvoys(t *testing.T, scenario func(t *testing.T, s subject)) {
	t.Helper()
	on(t, slices.DeleteFunc(subjects(t), func(s subject) bool { return s.name == engine }), scenario)
}

func on(t *testing.T, subjects []subject, scenario func(t *testing.T, s subject)) {
	t.Helper()
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.require(t)
			scenario(t, s)
		})
	}
}

// require skips the test if the subject is not installed, or fails it in CI.
func (s subject) require(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath(s.binary); err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err, "%s is missing, and CI tests all of them: run %s", s.name, s.remedy)
		}
		t.Skipf("skipped without %s (%v): run %s", s.name, err, s.remedy)
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

// commandLine returns the path of l4dump.
func commandLine(t *testing.T) string {
	t.Helper()
	return path(t, "E2E_L4DUMP", "build/l4dump")
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
