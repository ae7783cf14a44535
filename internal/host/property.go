package host

import (
	"bytes"
	"encoding/binary"
)

// appendProperty appends the value of a property. path is the segments of its name with a NUL between them, and one more
// may follow. Numbers are 8 bytes little endian, bools are one byte.
//
// The names and what is absent were taken from Envoy 1.40: without TLS requested_server_name is empty, not absent; node.id,
// cluster_name and listener_direction have gone to xds.node.id, xds.cluster_name and xds.listener_direction.
func (c *guestContext) appendProperty(dst, path []byte) ([]byte, status) {
	path = bytes.TrimSuffix(path, []byte{0})
	if c.root == nil {
		return dst, statusNotFound
	}
	plugin := c.root.filter.plugin
	text := func(s string) ([]byte, status) { return append(dst, s...), statusOK }
	number := func(n uint64) ([]byte, status) { return binary.LittleEndian.AppendUint64(dst, n), statusOK }
	switch string(path) {
	case "plugin_name":
		return text(plugin.Name)
	case "plugin_root_id":
		return text(plugin.RootID)
	case "plugin_vm_id":
		return text(c.vm.engine.config.ID)
	case "xds\x00node\x00id":
		return text(plugin.NodeID)
	case "xds\x00node\x00cluster":
		return text(plugin.NodeCluster)
	}
	if c.stream == nil {
		return dst, statusNotFound
	}
	connection := c.stream.connection
	switch string(path) {
	case "source\x00address":
		return text(connection.SourceAddress)
	case "source\x00port":
		return number(uint64(connection.SourcePort))
	case "destination\x00address":
		return text(connection.DestinationAddress)
	case "destination\x00port":
		return number(uint64(connection.DestinationPort))
	case "connection\x00id", "connection_id":
		return number(connection.ID)
	case "connection\x00mtls":
		return append(dst, 0), statusOK
	case "connection\x00requested_server_name":
		return dst, statusOK
	case "xds\x00listener_direction":
		return number(uint64(plugin.ListenerDirection))
	case "xds\x00cluster_name":
		if peer := c.stream.peer.Load(); peer != nil {
			return text(peer.Cluster)
		}
	case "upstream\x00address":
		if peer := c.stream.peer.Load(); peer != nil {
			return text(peer.Address)
		}
	case "upstream\x00port":
		if peer := c.stream.peer.Load(); peer != nil {
			return number(uint64(peer.Port))
		}
	}
	return dst, statusNotFound
}
