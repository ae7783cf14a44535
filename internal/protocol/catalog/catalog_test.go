package catalog_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"l4dump/internal/protocol"
	"l4dump/internal/protocol/catalog"
	"l4dump/internal/protocol/framertest"
)

// TestAll has no two protocols of a name.
func TestAll(t *testing.T) {
	names := map[string]bool{"raw": true, "auto": true}
	for _, p := range catalog.All() {
		require.False(t, names[p.Name()], p.Name())
		names[p.Name()] = true
		found, err := catalog.Find(p.Name())
		require.NoError(t, err)
		require.Equal(t, p.Name(), found.Name())
	}
	raw, err := catalog.Find("raw")
	require.NoError(t, err)
	require.Equal(t, protocol.Raw, raw)
}

func TestDetectorErrors(t *testing.T) {
	for _, row := range []struct{ name, choice, want string }{
		{"an unknown name", "gopher", `protocol "gopher": want one of `},
		{"an unknown name for a port", "80=gopher", `protocol "gopher": want one of `},
		{"no name", "", `protocol "": want one of `},
		{"no port", "=http1", `protocol "=http1": want a port from 1 to 65535 before =`},
		{"port 0", "0=http1", `protocol "0=http1": want a port from 1 to 65535 before =`},
		{"a port that is too high", "65536=http1", `protocol "65536=http1": want a port from 1 to 65535 before =`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := catalog.Detector(row.choice)
			require.ErrorContains(t, err, row.want)
		})
	}
}

// TestDetector has recorded connections, by their first bytes and by what the user says.
func TestDetector(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.yaml")
	require.NoError(t, os.WriteFile(file, []byte("name: mine\nports: [1]\ndelimiter: \"\\r\\n\"\n"), 0o600))
	for _, row := range []struct {
		name    string
		choices []string
		log     string
		port    uint16
		want    string
	}{
		{"nginx", nil, "../http1/testdata/nginx.log", 1, "http1"},
		{"Redis", nil, "../resp/testdata/redis.log.gz", 1, "redis"},
		{"Dubbo", nil, "../framed/testdata/dubbo.log.gz", 1, "dubbo"},
		{"thrift", nil, "../framed/testdata/thrift.log.gz", 1, "thrift"},
		{"Bolt, by its port", nil, "../framed/testdata/bolt.log.gz", 12200, "bolt"},
		{"memcached, by its port", nil, "../framed/testdata/memcached.log.gz", 11211, "memcached"},
		{"memcached elsewhere", nil, "../framed/testdata/memcached.log.gz", 1, "raw"},
		{"memcached, as the user says", []string{"memcached"}, "../framed/testdata/memcached.log.gz", 1, "memcached"},
		{"a description", []string{file, "auto"}, "../framed/testdata/memcached.log.gz", 1, "mine"},
		{"a description for a port", []string{"2=" + file}, "../framed/testdata/memcached.log.gz", 2, "mine"},
		{"the user knows better", []string{"raw"}, "../http1/testdata/nginx.log", 1, "raw"},
		{"for another port", []string{"2=raw"}, "../http1/testdata/nginx.log", 1, "http1"},
		{"for the port", []string{"raw", "1=redis"}, "../http1/testdata/nginx.log", 1, "redis"},
		{"guess for the port", []string{"raw", "1=auto"}, "../http1/testdata/nginx.log", 1, "http1"},
		{"the last counts", []string{"raw", "auto"}, "../http1/testdata/nginx.log", 1, "http1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := catalog.Detector(row.choices...)
			require.NoError(t, err)
			for _, c := range framertest.Recording(t, row.log) {
				var first [2][]byte
				for _, chunk := range c.Chunks {
					first[chunk.Direction] = append(first[chunk.Direction], chunk.Bytes...)
				}
				p, ok := d.Detect(row.port, first, true)
				require.True(t, ok)
				if first[0][0] == '*' || row.want != "redis" { // inline commands prove nothing
					require.Equal(t, row.want, p.Name())
				}
			}
		})
	}
}

// TestDescribed has a description take the place of a protocol of its name, and its faults be reported.
func TestDescribed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dubbo.yml")
	require.NoError(t, os.WriteFile(file, []byte("name: dubbo\nports: [7]\nlength: {offset: 0}\n"), 0o600))
	d, err := catalog.Detector(file)
	require.NoError(t, err)
	require.Len(t, d.Protocols, len(catalog.All()))
	require.Equal(t, []uint16{7}, d.Protocols[0].Ports())
	require.Equal(t, d.Only, d.Protocols[0])

	require.NoError(t, os.WriteFile(file, []byte("name: dubbo\n"), 0o600))
	_, err = catalog.Detector(file)
	require.EqualError(t, err, file+":1: length: want length or delimiter, one of them")
	_, err = catalog.Find("none.yaml")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
