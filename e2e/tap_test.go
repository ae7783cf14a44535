package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tapconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/tap/v3"
	tapcommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/tap/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tap/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestTap records the same connections by the plugin, and by Envoy's taps at the listener and at the cluster: the streams
// that `l4dump decode` reads are the same.
func TestTap(t *testing.T) {
	t.Parallel()
	onEnvoys(t, func(t *testing.T, s subject) {
		service := startTalkingService(t)
		c := newConfig(t, service.address(), plugins{listenerName: pluginConfig(openStrategy(t), everything, `{}`)})
		taps := t.TempDir()
		tap := func(dir string, format tapconfigv3.OutputSink_Format, streaming bool) *corev3.TransportSocket {
			require.NoError(t, os.Mkdir(filepath.Join(taps, dir), 0o700))
			return tapSocket(t, format, streaming, filepath.Join(taps, dir, "tap"))
		}
		c.listener(t, listenerName).FilterChains[0].TransportSocket = tap("listener", tapconfigv3.OutputSink_PROTO_BINARY_LENGTH_DELIMITED, false)
		c.bootstrap.StaticResources.Clusters[0].TransportSocket = tap("cluster", tapconfigv3.OutputSink_PROTO_TEXT, true)
		p := start(t, s, c)

		l := load{conversation: conversations[0], connections: 20, maxBytes: 256 << 10}
		talks := l.run(t, service, p.address(listenerName))
		p.waitForCloses(len(talks))
		p.stop()
		d := p.dump()

		atListener := decodeTaps(t, filepath.Join(taps, "listener"))
		atCluster := decodeTaps(t, filepath.Join(taps, "cluster"))
		require.Len(t, atListener, len(talks))
		require.Len(t, atCluster, len(talks))
		var want, got []talk
		for source, talk := range talks {
			requireWhole(t, d.of(t, source), talk)
			want = append(want, talk)
			client, _, _ := strings.Cut(source, ">")
			require.Contains(t, atListener, tapped{client, p.address(listenerName), talk})
		}
		for _, connection := range atCluster {
			require.Equal(t, service.address(), connection.destination)
			got = append(got, connection.talk)
		}
		require.ElementsMatch(t, want, got)
	})
}

// tapped is a connection that a tap has recorded.
type tapped struct {
	source, destination string
	talk                talk
}

// decodeTaps returns the connections that the decode command finds in a folder of taps, each of which must be closed.
func decodeTaps(t *testing.T, dir string) []tapped {
	t.Helper()
	text, err := exec.Command(commandLine(t), "decode", "--format", "json", dir).Output()
	require.NoError(t, err)
	var list []tapped
	type recorded struct {
		open    tapped
		streams [2][]byte
	}
	open := map[string]*recorded{}
	for line := range strings.Lines(string(text)) {
		var r struct {
			Kind, Conn, Direction, Source, Destination string
			Cut                                        bool
			Data                                       []byte
		}
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		require.False(t, r.Cut)
		switch r.Kind {
		case "open":
			open[r.Conn] = &recorded{open: tapped{source: r.Source, destination: r.Destination}}
		case "data":
			d := 0
			if r.Direction == "upstream" {
				d = 1
			}
			open[r.Conn].streams[d] = append(open[r.Conn].streams[d], r.Data...)
		case "close":
			c := open[r.Conn]
			c.open.talk = talk{sent: digestOf(c.streams[0]), received: digestOf(c.streams[1])}
			list = append(list, c.open)
			delete(open, r.Conn)
		}
	}
	require.Empty(t, open)
	return list
}

// tapSocket is Envoy's tap of plaintext that cuts nothing: a file for each connection.
func tapSocket(t *testing.T, format tapconfigv3.OutputSink_Format, streaming bool, prefix string) *corev3.TransportSocket {
	t.Helper()
	const maxBytes = 16 << 20
	tap := &tapv3.Tap{
		CommonConfig: &tapcommonv3.CommonExtensionConfig{
			ConfigType: &tapcommonv3.CommonExtensionConfig_StaticConfig{StaticConfig: &tapconfigv3.TapConfig{
				Match: &matcherv3.MatchPredicate{Rule: &matcherv3.MatchPredicate_AnyMatch{AnyMatch: true}},
				OutputConfig: &tapconfigv3.OutputConfig{
					Sinks: []*tapconfigv3.OutputSink{{
						Format:         format,
						OutputSinkType: &tapconfigv3.OutputSink_FilePerTap{FilePerTap: &tapconfigv3.FilePerTapSink{PathPrefix: prefix}},
					}},
					MaxBufferedRxBytes: wrapperspb.UInt32(maxBytes),
					MaxBufferedTxBytes: wrapperspb.UInt32(maxBytes),
					Streaming:          streaming,
				},
			}},
		},
		TransportSocket: &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.raw_buffer",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: mustAny(t, new(rawbufferv3.RawBuffer))},
		},
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tap",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: mustAny(t, tap)},
	}
}
