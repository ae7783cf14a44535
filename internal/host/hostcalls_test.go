package host

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The expected values are what Envoy 1.40.0 answered to the same script, but for histograms and proxy_set_property.
func TestHostcalls(t *testing.T) {
	tests := []struct {
		name string
		want string // "call: status values", one a line
	}{
		{"properties of the connection", `
get_property source\0address: 0 "127.0.0.1:4660"
get_property source\0address\0: 0 "127.0.0.1:4660"
get_property source\0port: 0 "4\x12\x00\x00\x00\x00\x00\x00"
get_property destination\0address: 0 "127.0.0.1:80"
get_property destination\0port: 0 "P\x00\x00\x00\x00\x00\x00\x00"
get_property connection\0id: 0 "\x02\x01\x00\x00\x00\x00\x00\x00"
get_property connection_id: 0 "\x02\x01\x00\x00\x00\x00\x00\x00"
get_property connection\0mtls: 0 "\x00"
get_property connection\0requested_server_name: 0 ""
get_property connection\0tls_version: 1 ""
get_property connection\0uri_san_peer_certificate: 1 ""
get_property upstream\0address: 1 ""
get_property cluster_name: 1 ""
get_property nonsense: 1 ""
get_property source\0nonsense: 1 ""`},
		{"properties of the plugin", `
get_property plugin_name: 0 "probe"
get_property plugin_root_id: 0 "root"
get_property plugin_vm_id: 0 "vm"
get_property xds\0node\0id: 0 "n1"
get_property xds\0node\0cluster: 0 ""
get_property xds\0listener_direction: 0 "\x00\x00\x00\x00\x00\x00\x00\x00"
get_property xds\0cluster_name: 1 ""
get_property node\0id: 1 ""
get_property listener_direction: 1 ""`},
		{"set property", `
set_property a b: 12`},
		{"counter", `
define_metric 0 a.b: 0 4
define_metric 0 a.b: 0 8
increment_metric 4 2: 0
increment_metric 8 1: 0
increment_metric 4 0: 2
increment_metric 4 -1: 2
record_metric 4 9: 0
get_metric 4: 0 12
get_metric 8: 0 12
increment_metric 100 1: 1
record_metric 100 1: 1
get_metric 104: 1 0`},
		{"gauge", `
define_metric 1 g: 0 5
record_metric 5 10: 0
increment_metric 5 -3: 0
get_metric 5: 0 7
increment_metric 5 0: 0
get_metric 5: 0 7`},
		{"other metrics", `
define_metric 2 h: 12 0
define_metric 3 z: 2 0
increment_metric 6 1: 2
increment_metric 99 1: 2
record_metric 6 1: 1
get_metric 6: 2 0`},
		{"shared data", `
get_shared_data k: 1 "" cas 0
set_shared_data k v 7: 0
get_shared_data k: 0 "v" cas 1
set_shared_data k w 99: 8
set_shared_data k w 1: 0
set_shared_data k '' 0: 0
get_shared_data k: 0 "" cas 3`},
		{"buffers", `
get_buffer_bytes 2 0 4: 0 "!get"
get_buffer_bytes 2 100000 5: 0 ""
get_buffer_bytes 2 4294967295 4294967295: 0 ""
get_buffer_bytes 3 0 1: 0 ""
get_buffer_bytes 4 0 1: 1 ""
get_buffer_bytes 6 0 1: 0 ""
get_buffer_bytes 7 0 1: 1 ""
get_buffer_bytes 0 0 1: 0 ""
get_buffer_bytes 8 0 1: 0 ""
get_buffer_bytes 9 0 1: 2 ""`},
		{"header maps", `
get_header_map_pairs 6: 0 ""
get_header_map_value 6 :status: 2 ""
get_header_map_pairs 0: 0 ""
get_header_map_value 0 x: 2 ""
get_header_map_value 8 x: 2 ""
get_header_map_pairs 8: 2 ""`},
		{"log", `
get_log_level: 0 2
log 6 x: 2
log 1 hidden: 0
log_bad_pointer: 6`},
		{"contexts and time", `
done: 1
get_time: 0 1795397031887000000`},
		{"HTTP call without any cluster", `
http_call web 500 '' :method GET :path /x :authority a: 2 0`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			te := newTestEngine(t, nil)
			want := strings.Split(strings.TrimSpace(test.want), "\n")
			var script []string
			for _, line := range want {
				call, _, _ := strings.Cut(line, ": ")
				script = append(script, call)
			}
			got := te.run(t, strings.Join(script, "\n"))
			for i := range got {
				// The lines of the root context have its prefix.
				got[i] = strings.TrimPrefix(got[i], "1 root vm: = ")
			}
			require.Equal(t, want, got)
		})
	}
}

func TestPropertiesOutsideOfAStream(t *testing.T) {
	te := newTestEngine(t, nil)
	te.log.take()
	te.filter(t, "get_property plugin_name\nget_property source\\0address\nget_property connection\\0id\nget_property xds\\0listener_direction")
	log := strings.Join(te.log.take(), "\n")
	require.Contains(t, log, `get_property plugin_name: 0 "probe"`)
	require.Contains(t, log, `get_property source\0address: 1 ""`)
	require.Contains(t, log, `get_property connection\0id: 1 ""`)
	require.Contains(t, log, `get_property xds\0listener_direction: 1 ""`)
}
