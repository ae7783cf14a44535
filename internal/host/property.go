package host

import (
	"bytes"
	"encoding/binary"
)

// appendProperty appends the value of a property. path is the segments of its name with a NUL between them, and one more
// may follow. Numbers are 8 bytes little endian, bools are one byte.
//
// What Envoy 1.40 answers was taken from Envoy 1.40: without TLS requested_server_name is empty, not absent; without a
// node in the bootstrap, node.id is absent; cluster_name is absent in a TCP proxy; so is listener_direction if the
// listener names none.
func (c *guestContext) appendProperty(dst, path []byte) ([]byte, status) {
	path = bytes.TrimSuffix(path, []byte{0})
	if c.root == nil {
		return dst, statusNotFound
	}
	plugin := c.root.filter.plugin
	text := func(s string) ([]byte, status) { return append(dst, s...), statusOK }
	present := func(s string) ([]byte, status) {
		if s == "" {
			return dst, statusNotFound
		}
		return text(s)
	}
	number := func(n uint64) ([]byte, status) { return binary.LittleEndian.AppendUint64(dst, n), statusOK }
	switch string(path) {
	case "plugin_name":
		return text(plugin.Name)
	case "plugin_root_id":
		return text(plugin.RootID)
	case "plugin_vm_id":
		return text(c.vm.engine.config.ID)
	case "node\x00id":
		return present(plugin.NodeID)
	case "node\x00cluster":
		return present(plugin.NodeCluster)
	case "listener_direction":
		if plugin.ListenerDirection == 0 {
			return dst, statusNotFound
		}
		return number(uint64(plugin.ListenerDirection))
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
