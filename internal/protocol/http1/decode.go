package http1

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// maxDecoded bounds a decoded body in bytes, and maxWindow what its decoder keeps.
const (
	maxDecoded = 32 << 20
	maxWindow  = 8 << 20
)

// dechunk returns what is in the chunks of a body, and the lines of its trailers.
func dechunk(body []byte) (content, trailers []byte, err error) {
	content = make([]byte, 0, len(body))
	var s side
	for {
		line, size, err := s.line(body, maxChunkLine, "the line of a chunk")
		switch {
		case err != nil:
			return nil, nil, err
		case size == 0:
			return nil, nil, errCut
		}
		body = body[size:]
		n := chunkSize(line)
		switch {
		case n < 0:
			return nil, nil, errors.New("the size of a chunk is no hexadecimal number")
		case n == 0:
			trailers, err = cutTrailers(body)
			return content, trailers, err
		case int64(len(body)) < n+2:
			return nil, nil, errCut
		case body[n] != '\r' || body[n+1] != '\n':
			return nil, nil, errors.New("a chunk is longer than it says")
		}
		content = append(content, body[:n]...)
		body = body[n+2:]
	}
}

// cutTrailers returns the lines that follow the last chunk, without the empty one.
func cutTrailers(body []byte) (lines []byte, err error) {
	var s side
	for n := 0; ; {
		line, size, err := s.line(body[n:], maxHead, "the list of trailers")
		switch {
		case err != nil:
			return nil, err
		case size == 0:
			return nil, errCut
		case len(line) == 0:
			return body[:n], nil
		}
		n += size
	}
}

// listOf returns the items of a header that is a list of codings, in lower case, the last applied one first.
func listOf(value []byte) (list []string) {
	for item := range bytes.SplitSeq(value, comma) {
		list = append([]string{strings.ToLower(string(trim(item)))}, list...)
	}
	return list
}

// decode undoes codings, the last applied one first. If it cannot, it returns body as it is with the reason.
func decode(body []byte, codings []string) ([]byte, error) {
	decoded := body
	for _, coding := range codings {
		r, err := decoder(bytes.NewReader(decoded), coding)
		if r == nil && err == nil {
			continue
		}
		if err == nil {
			decoded, err = io.ReadAll(io.LimitReader(r, maxDecoded+1))
		}
		switch {
		case err != nil:
			return body, fmt.Errorf("decode body of %s: %w", coding, err)
		case len(decoded) > maxDecoded:
			return body, fmt.Errorf("decode body of %s: it has more than %d bytes", coding, maxDecoded)
		}
	}
	return decoded, nil
}

// decoder returns what undoes a coding, and nil if there is nothing to undo.
func decoder(r *bytes.Reader, coding string) (io.Reader, error) {
	switch coding {
	case "", "identity", "chunked":
		return nil, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "deflate":
		if z, err := zlib.NewReader(r); err == nil {
			return z, nil
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil { // some send it without the header of zlib
			return nil, err
		}
		return flate.NewReader(r), nil
	case "br":
		return brotli.NewReader(r), nil
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoded), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, errors.New("the coding is not known")
}
