// Package catalog has the protocols that l4dump knows, by name.
package catalog

import (
	"fmt"
	"strconv"
	"strings"

	"l4dump/internal/protocol"
	"l4dump/internal/protocol/http1"
	"l4dump/internal/protocol/resp"
)

// All returns the protocols, those that are more certain of themselves first.
func All() []protocol.Protocol {
	return []protocol.Protocol{http1.Protocol{}, resp.Protocol{}}
}

// Find returns the protocol of a name, protocol.Raw among them.
func Find(name string) (protocol.Protocol, error) {
	names := make([]string, 0, 8)
	for _, p := range append(All(), protocol.Raw) {
		if p.Name() == name {
			return p, nil
		}
		names = append(names, p.Name())
	}
	return nil, fmt.Errorf("protocol %q: want one of %s", name, strings.Join(names, ", "))
}

// Detector returns what chooses among all protocols. choices are what the user says: "NAME" for every connection, and
// "PORT=NAME" for those to one port; "auto" is a name too, and chooses by the bytes.
func Detector(choices ...string) (protocol.Detector, error) {
	d := protocol.Detector{Protocols: All(), Ports: map[uint16]protocol.Protocol{}}
	for _, choice := range choices {
		port, name, forPort := strings.Cut(choice, "=")
		if !forPort {
			name = choice
		}
		var p protocol.Protocol
		if name != "auto" {
			var err error
			if p, err = Find(name); err != nil {
				return d, err
			}
		}
		if !forPort {
			d.Only = p
			continue
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return d, fmt.Errorf("protocol %q: want a port from 1 to 65535 before =", choice)
		}
		d.Ports[uint16(n)] = p
	}
	return d, nil
}
