// Command l4dump records TCP traffic that passes through Envoy, and reads what was recorded.
package main

import (
	"os"
)

func main() {
	os.Exit(run(os.Stdin, os.Stdout, os.Stderr, os.Args[1:]))
}
