package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"l4dump/internal/capture"
	"l4dump/internal/capture/dumplog"
)

// choiceFlags are the flags of decode that choose connections by what becomes known at their end only.
type choiceFlags struct {
	grep          string
	last, largest int
	pattern       *capture.Pattern // of grep, after check
}

func (f *choiceFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.grep, "grep", "", "only connections that hold this: text, hex:BYTES or re:EXPRESSION")
	flags.IntVar(&f.last, "last", 0, "only so many connections, those that began last")
	flags.IntVar(&f.largest, "largest", 0, "only so many connections, those with the most bytes")
}

// any reports whether one of the flags is set.
func (f *choiceFlags) any() bool { return f.grep != "" || f.last > 0 || f.largest > 0 }

func (f *choiceFlags) check(follow bool, fault func(format string, args ...any)) {
	if f.grep != "" {
		var err error
		if f.pattern, err = capture.ParsePattern(f.grep); err != nil {
			fault("--grep is %q; %s", f.grep, err)
		}
	}
	for _, flag := range []struct {
		name  string
		value int
	}{{"last", f.last}, {"largest", f.largest}} {
		if flag.value < 0 {
			fault("--%s is %d; wanted 1 or more, or 0 for all", flag.name, flag.value)
		}
	}
	if f.last > 0 && f.largest > 0 {
		fault("--last and --largest exclude each other")
	}
	if follow && f.any() {
		fault("--follow has no end at which --grep, --last and --largest could choose")
	}
}

// rereadable returns inputs that can be read twice: what is no regular file is kept in a temporary one until closed.
func rereadable(ctx context.Context, inputs []dumplog.Input) (_ []dumplog.Input, closeAll func(), err error) {
	var files []*os.File
	closeAll = func() {
		for _, file := range files {
			_ = file.Close() // it is gone
		}
	}
	for i, input := range inputs {
		name, r, done, err := streamOf(input)
		if err == nil && r == nil {
			continue
		}
		var file *os.File
		if err == nil {
			file, _, err = dumplog.Spill(ctx, r)
			done()
		}
		if file != nil {
			files = append(files, file)
		}
		if err == nil {
			_, err = file.Seek(0, io.SeekStart)
		}
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("keep %s in a temporary file: %w", name, err)
		}
		inputs[i] = dumplog.OpenFile{Name: name, File: file}
	}
	return inputs, closeAll, nil
}

// streamOf returns what an input reads that can be read once only; r is nil if it can be read again. done closes it.
func streamOf(input dumplog.Input) (name string, r io.Reader, done func(), err error) {
	done = func() {}
	switch input := input.(type) {
	case dumplog.Stream:
		return input.Name, input.Reader, done, nil
	case dumplog.OpenFile:
		info, err := input.File.Stat()
		at, seekErr := input.File.Seek(0, io.SeekCurrent)
		if err == nil && seekErr == nil && at == 0 && info.Mode().IsRegular() && info.Size() > 0 {
			return "", nil, done, nil
		}
		return input.Name, input.File, done, err
	case dumplog.File:
		info, err := os.Stat(input.Path)
		if err != nil || info.Mode().IsRegular() && info.Size() > 0 { // the files of /proc have no size
			return input.Path, nil, done, err
		}
		file, err := os.Open(input.Path)
		return input.Path, file, func() { _ = file.Close() }, err
	}
	return "", nil, done, nil
}

// choose reads the inputs and returns the connections that the flags choose of those that filter selects.
func (f *choiceFlags) choose(ctx context.Context, filter capture.Filter, marks bool, inputs []dumplog.Input) (map[capture.ID]*capture.Marks, error) {
	choice := &capture.Choice{Pattern: f.pattern, Marks: marks, Last: f.last, Largest: f.largest}
	log := dumplog.NewSource(dumplog.Options{Forms: forms}, inputs...)
	_, err := capture.Read(ctx, choice, capture.Options{Filter: filter}, log)
	if errors.Is(err, context.Canceled) {
		return nil, errors.New("interrupted before the end of the log")
	}
	return choice.Chosen(), err
}
