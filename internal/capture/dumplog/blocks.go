package dumplog

import "io"

const blockBytes = 256 << 10

// blocks reads ahead, so that a Source notices when the input has nothing for now.
type blocks struct {
	full chan block
	free chan []byte
	done chan struct{}
}

// block is what one Read returned.
type block struct {
	bytes []byte
	err   error
}

// readBlocks reads r in a goroutine until it fails or stop is called.
func readBlocks(r io.Reader) *blocks {
	b := &blocks{full: make(chan block, 1), free: make(chan []byte, 2), done: make(chan struct{})}
	for range cap(b.free) {
		b.free <- make([]byte, blockBytes)
	}
	go b.read(r)
	return b
}

func (b *blocks) read(r io.Reader) {
	for {
		var buf []byte
		select {
		case buf = <-b.free:
		case <-b.done:
			return
		}
		n, err := r.Read(buf)
		select {
		case b.full <- block{bytes: buf[:n], err: err}:
		case <-b.done:
			return
		}
		if err != nil {
			return
		}
	}
}

// release gives a block back to be read into.
func (b *blocks) release(used block) { b.free <- used.bytes[:cap(used.bytes)] }

func (b *blocks) stop() { close(b.done) }
