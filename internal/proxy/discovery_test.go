package proxy

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var allowAll = object{"@type": "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC", "stat_prefix": "x"}

func resource(name string, config object) object {
	return object{"version_info": "7", "resources": []any{object{
		"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": name, "typed_config": config,
	}}}
}

// rename puts text where file is, as Envoy wants it.
func rename(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file+".tmp", []byte(text), 0o600))
	require.NoError(t, os.Rename(file+".tmp", file))
}

func renameObject(t *testing.T, file string, value object) {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	rename(t, file, string(text))
}

// discovered is a configuration file with a filter from another file.
func discovered(t *testing.T, file string, more object) *testFile {
	discovery := object{
		"config_source": object{"path_config_source": object{"path": file}, "resource_api_version": "V3"},
		"type_urls": []any{
			"type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm",
			"type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC",
		},
	}
	for name, value := range more {
		discovery[name] = value
	}
	f := newTestFile(serve(t, echo), object{"name": "l4", "config_discovery": discovery})
	f.node = object{"id": "n1", "cluster": "c1"}
	return f
}

// counters returns the numbers of config_reload, config_fail, update_attempt, update_failure, update_rejected, update_success.
func counters(t *testing.T, s *testServer) []uint64 {
	t.Helper()
	scope := s.stats.discovery("l4")
	var all []uint64
	for _, name := range []string{"config_reload", "config_fail", "update_attempt", "update_failure", "update_rejected", "update_success"} {
		all = append(all, scope.counter(name).Value())
	}
	return all
}

func waitForAttempt(t *testing.T, s *testServer, n uint64) {
	t.Helper()
	scope := s.stats.discovery("l4")
	require.Eventually(t, func() bool {
		return scope.counter("update_attempt").Value() >= n &&
			scope.counter("update_success").Value()+scope.counter("config_fail").Value() >= n
	}, patience, testPoll, "update %d", n)
}

// The counters are those of Envoy 1.40.0 for the same files.
func TestDiscoveryUpdates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "e.yaml")
	renameObject(t, file, resource("l4", wasm("log 2 one", nil)))
	s := discovered(t, file, nil).start(t, nil)
	require.Equal(t, []uint64{1, 0, 1, 0, 0, 1}, counters(t, s))
	old := s.dial(t)
	roundTrip(t, old, "hello")

	steps := []struct {
		name string
		text string
		want []uint64 // see counters
		log  string
	}{
		{"update", asText(t, resource("l4", wasm("log 2 two", nil))), []uint64{2, 0, 2, 0, 0, 2}, "root vm: two"},
		{"the same again", asText(t, resource("l4", wasm("log 2 two", nil))), []uint64{2, 0, 3, 0, 0, 3}, ""},
		{"rejected by the plugin", asText(t, resource("l4", wasm("reject", nil))), []uint64{3, 1, 4, 0, 1, 3}, "Filesystem config update rejected: configure plugin probe: plugin rejected its configuration: proxy_on_configure returned false\n"},
		{"no YAML", "{", []uint64{3, 2, 5, 1, 1, 3}, "Filesystem config update failure: read " + file + ":; line 1: did not find expected node content\n"},
		{"another name", asText(t, resource("other", wasm("", nil))), []uint64{3, 3, 6, 1, 2, 3}, `rejected: want a resource with the name "l4", not "other"`},
		{"no resource", `{"version_info": "1"}`, []uint64{3, 4, 7, 1, 3, 3}, "rejected: want one resource, not 0"},
		{"no such module", asText(t, resource("l4", wasm("", object{"vm_config": object{"code": object{"local": object{"filename": file + ".wasm"}}}}))), []uint64{4, 5, 8, 1, 4, 3}, "rejected: read plugin: open "},
		{"allow all", asText(t, resource("l4", allowAll)), []uint64{5, 5, 9, 1, 4, 4}, ""},
	}
	for i, step := range steps {
		rename(t, file, step.text)
		waitForAttempt(t, s, uint64(i+2))
		require.Equal(t, step.want, counters(t, s), step.name)
		if step.log != "" {
			s.log.waitFor(t, step.log)
		}
		roundTrip(t, s.dial(t), "new connections pass")
		roundTrip(t, old, "old connections are not touched")
	}
	_, dump := s.get(t, "/config_dump")
	require.Contains(t, dump, `"version_info": "7"`)
	require.Contains(t, dump, "EcdsConfigDump")
	require.Contains(t, s.log.String(), "context_create 3 0\n", "the VM was reused")
}

func asText(t *testing.T, value object) string {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return string(text)
}

func TestDiscoveryAtStart(t *testing.T) {
	bad := asText(t, resource("l4", wasm("reject", nil)))
	tests := []struct {
		name string
		more object
		pass bool
	}{
		{"no default", nil, false},
		{"default", object{"default_config": allowAll}, true},
		{"default at once", object{"default_config": allowAll, "apply_default_config_without_warming": true}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "e.json")
			rename(t, file, bad)
			s := discovered(t, file, test.more).start(t, nil)
			conn := s.dial(t)
			missing := s.stats.listener("127.0.0.1_0").counter("network_extension_config_missing")
			if test.pass {
				roundTrip(t, conn, "hello")
				require.Zero(t, missing.Value())
			} else {
				_, err := conn.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF)
				require.Equal(t, uint64(1), missing.Value())
			}
			renameObject(t, file, resource("l4", wasm("", nil)))
			waitForAttempt(t, s, 2)
			roundTrip(t, s.dial(t), "served")
			s.log.waitFor(t, "downstream_data 2 6 0")
		})
	}
}

func TestDiscoveryFileMustExist(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none.yaml")
	config, err := Parse("test.yaml", discovered(t, file, nil).text(t))
	require.NoError(t, err)
	_, err = Start(t.Context(), config, Options{Log: io.Discard})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "watch extension configuration: ")
}

// Kubernetes renames a link in the mounted directory; the file's own name never changes.
func TestDiscoveryWatchedDirectory(t *testing.T) {
	dir := t.TempDir()
	publish := func(version, script string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		renameObject(t, filepath.Join(dir, version, "e.yaml"), resource("l4", wasm(script, nil)))
		require.NoError(t, os.Symlink(version, filepath.Join(dir, "tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, "..data")))
	}
	publish("1", "log 2 one")
	file := filepath.Join(dir, "e.yaml")
	require.NoError(t, os.Symlink(filepath.Join("..data", "e.yaml"), file))
	f := discovered(t, file, object{"config_source": object{"path_config_source": object{"path": file, "watched_directory": object{"path": dir}}}})
	s := f.start(t, nil)
	s.log.waitFor(t, "root vm: one")
	publish("2", "log 2 two")
	s.log.waitFor(t, "root vm: two")
	require.Eventually(t, func() bool { return strings.Count(s.log.String(), "root vm: done 1\n") == 2 }, patience, testPoll,
		"the old configuration ends in both VMs")
}

// A new module is a new engine; the old one ends with its last stream.
func TestDiscoveryOfANewModule(t *testing.T) {
	file := filepath.Join(t.TempDir(), "e.yaml")
	vm := func(configuration string) object {
		return object{"vm_config": object{
			"vm_id": "vm", "code": object{"local": object{"filename": fixture.probe}},
			"configuration": object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration},
		}}
	}
	renameObject(t, file, resource("l4", wasm("set_shared_data k v 0", vm("a"))))
	s := discovered(t, file, nil).start(t, nil)
	old := s.dial(t)
	roundTrip(t, old, "hello")
	renameObject(t, file, resource("l4", wasm("get_shared_data k", vm("b"))))
	waitForAttempt(t, s, 2)
	s.log.waitFor(t, `= get_shared_data k: 0 "v"`)
	roundTrip(t, old, "hello")
	all, _ := s.engines.vms()
	require.Equal(t, 4, all)
	require.NoError(t, old.Close())
	require.Eventually(t, func() bool {
		all, _ := s.engines.vms()
		return all == 2
	}, patience, testPoll, "the old engine ends")
}
