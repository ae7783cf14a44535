package envoyapi

import (
	"testing"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func TestProtoName(t *testing.T) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName("envoy.config.listener.v3.Listener")
	require.NoError(t, err)
	for goName, want := range map[string]string{"FilterChains[3]": "filter_chains[3]", "StatPrefix": "stat_prefix", "Nonsense": "Nonsense", "ListenerSpecifier": "listener_specifier"} {
		require.Equal(t, want, protoName(kind.Descriptor(), goName))
	}
}
