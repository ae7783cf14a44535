package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"l4dump/internal/capture"
)

// createFile creates a file for what was recorded, which nobody else may read. force replaces one that there is.
func createFile(name string, force bool) (*os.File, error) {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(name, mode, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w; name another one, or replace it with --force", err)
	}
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		if err := file.Chmod(0o600); err != nil { // of the file that there was
			return nil, errors.Join(err, file.Close())
		}
	}
	return file, nil
}

// checkOutput returns an error if the file called name is one of the inputs: what is written would take the place of what
// is still to be read. An empty name is no file.
func checkOutput(name string, inputs []string, stdin io.Reader) error {
	output, err := os.Stat(name)
	if name == "" || err != nil || !output.Mode().IsRegular() {
		return nil //nolint:nilerr // what is not there is no input
	}
	for _, input := range inputs {
		info, err := os.Stat(input)
		if file, isFile := stdin.(*os.File); input == stdinName && isFile {
			info, err = file.Stat()
		}
		if err == nil && os.SameFile(output, info) {
			return fmt.Errorf("write %s: it is one of the inputs; name another file", capture.Name(name))
		}
	}
	return nil
}
