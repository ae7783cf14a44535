// Package catalog has the protocols that l4dump knows, by name.
package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"l4dump/internal/protocol"
	"l4dump/internal/protocol/framed"
	"l4dump/internal/protocol/http1"
	"l4dump/internal/protocol/resp"
)

// All returns the protocols, those that are more certain of themselves first.
func All() []protocol.Protocol {
	return append([]protocol.Protocol{http1.Protocol{}, resp.Protocol{}}, framed.Builtin()...)
}

// Find returns the protocol of a name, protocol.Raw among them, or that of a file, which ends with .yaml or .yml and
// describes it.
func Find(name string) (protocol.Protocol, error) { return find(All(), name) }

func find(list []protocol.Protocol, name string) (protocol.Protocol, error) {
	if extension := filepath.Ext(name); extension == ".yaml" || extension == ".yml" {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		return framed.Parse(name, text)
	}
	names := make([]string, 0, len(list)+1)
	for _, p := range append(list, protocol.Raw) {
		if p.Name() == name {
			return p, nil
		}
		names = append(names, p.Name())
	}
	return nil, fmt.Errorf("protocol %q: want one of %s, or a file that ends with .yaml", name, strings.Join(names, ", "))
}

// Detector returns what chooses among all protocols. choices are what the user says: "NAME" for every connection, and
// "PORT=NAME" for those to one port; "auto" is a name too, and chooses by the bytes. A NAME may be a file, as for Find:
// its protocol is then among those that are chosen from, instead of one that is built in under the same name.
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
			if p, err = find(d.Protocols, name); err != nil {
				return d, err
			}
			d.Protocols = with(d.Protocols, p)
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

// with returns list with p first, unless it is there; one of the same name is left out.
func with(list []protocol.Protocol, p protocol.Protocol) []protocol.Protocol {
	if p == protocol.Raw || slices.Contains(list, p) {
		return list
	}
	list = slices.DeleteFunc(list, func(other protocol.Protocol) bool { return other.Name() == p.Name() })
	return append([]protocol.Protocol{p}, list...)
}
