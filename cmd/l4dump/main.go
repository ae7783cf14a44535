// Command l4dump records TCP traffic that passes through Envoy, and reads what was recorded.
package main

import (
	"os"

	"l4dump/internal/command"
)

func main() { os.Exit(command.Run(os.Stdin, os.Stdout, os.Stderr, os.Args[1:])) }
