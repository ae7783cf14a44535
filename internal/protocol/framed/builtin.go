package framed

import (
	"embed"

	"l4dump/internal/protocol"
)

//go:embed protocols/*.yaml
var protocols embed.FS

// Builtin returns the protocols whose descriptions are built in, by name.
func Builtin() []protocol.Protocol {
	files, err := protocols.ReadDir("protocols")
	list := make([]protocol.Protocol, 0, len(files))
	for _, file := range files {
		var text []byte
		if text, err = protocols.ReadFile("protocols/" + file.Name()); err != nil {
			break
		}
		var p protocol.Protocol
		if p, err = Parse(file.Name(), text); err != nil {
			break
		}
		list = append(list, p)
	}
	if err != nil {
		panic(err) // they are part of the program, and a test reads them
	}
	return list
}
