package filter

import (
	"l4dump/internal/abi"
	"l4dump/record"
)

// said begins the keys of what was said last.
const said = "l4dump/said/"

// messages are the plugin's own: lines of the proxy's log that say what it does, apart from the records.
type messages struct {
	write func(level abi.Level, line []byte)
}

// log logs text; what would break its line or begin a record is escaped.
func (m messages) log(level abi.Level, text string) {
	m.write(level, []byte("l4dump: "+record.Printable(text)))
}

// say logs text once for the whole proxy: the first VM to come does it. key tells what the text is about; the next
// different text about it is said again.
func (m messages) say(level abi.Level, key, text string) {
	if m.first(key, text) {
		m.log(level, text)
	}
}

// open makes key one that first can tell apart from the start. Only from a VM's start or a plugin's.
func (messages) open(key string) { seed(said+key, nil) }

// first reports whether text is news about key for the whole proxy: no VM has come with it since another text.
func (messages) first(key, text string) bool {
	key = said + key
	last, cas, err := abi.SharedData(key)
	return (err != nil || string(last) != text) && abi.SetSharedData(key, []byte(text), cas) == nil
}
