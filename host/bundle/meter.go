package bundle

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// source is the compressed file. It counts what the decompression takes, and remembers why the disk failed, so that this is not taken
// for damage.
type source struct {
	name     string
	from     io.Reader
	consumed int64
	failed   error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.consumed += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}

// explain makes a fault of what ended the decompression or the reading of what it produced.
func (s *source) explain(err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e
	}
	const again = "download it, or pack it, again"
	e := fault.New(fault.ADArchive, "the bundle is damaged near byte %d", s.consumed).Fix(again)
	switch {
	case s.failed != nil:
		e = fault.New(fault.IORead, "it cannot be read").Wrap(reference.Bare(s.failed)).Fix("check the disk")
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Cause = "the bundle ends too early"
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		e = fault.New(fault.ADArchive, "the zstd frame asks for more memory than a bundle may").Fix("pack it again without --long and --ultra")
	case errors.Is(err, zstd.ErrMagicMismatch), errors.Is(err, gzip.ErrHeader):
		e.Cause = "what follows the compressed data is no compressed data"
	default:
		e.Wrap(err)
	}
	return e.In(s.name)
}

// decompress is the reader of what a source holds. Several gzip members or zstd frames, one after the other, are one stream, as for
// the programs of these names; what comes after the last one is an error.
func decompress(in *source, limits Limits) (io.ReadCloser, error) {
	mark := make([]byte, 4)
	n, err := io.ReadFull(in, mark)
	if err != nil && n < len(gzipMark) {
		return nil, err
	}
	whole := io.MultiReader(bytes.NewReader(mark[:n]), in)
	if !isZstd(mark[:n]) {
		return gzip.NewReader(whole)
	}
	decoder, err := zstd.NewReader(whole, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(limits.Window), zstd.WithDecoderMaxMemory(uint64(max(limits.Bytes, int64(limits.Window)))))
	if err != nil {
		return nil, err
	}
	return decoder.IOReadCloser(), nil
}

// meter counts what the decompression produces, and ends it where that is more than a bundle may make.
type meter struct {
	in       *source
	from     io.Reader
	limits   Limits
	produced int64
	zeros    int64 // at the end of what was produced
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	m.produced += int64(n)
	if tail := n - len(bytes.TrimRight(p[:n], "\x00")); tail == n {
		m.zeros += int64(n)
	} else {
		m.zeros = int64(tail)
	}
	const remedy = "this is no adapter: do not unpack it elsewhere"
	switch {
	case m.produced > m.limits.Bytes:
		return 0, fault.New(fault.STTooLarge, "it unpacks to more than %d bytes", m.limits.Bytes).In(m.in.name).
			Fix("give an adapter of at most that size, unpacked, as a directory")
	case m.produced > m.limits.Slack && m.produced/m.limits.Ratio > m.in.consumed:
		return 0, fault.New(fault.ADArchive, "%d bytes of it unpack to more than %d: no adapter shrinks to less than one part in %d",
			m.in.consumed, m.produced-1, m.limits.Ratio).In(m.in.name).Fix(remedy)
	}
	return n, err
}
