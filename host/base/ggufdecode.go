package base

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/reference"
)

// oneFile is a base that is one GGUF file, and the place where its quantised tensors are decoded for those who need a file: processes that look
// at the values are handed a descriptor. That place is a file without a name in the directory for temporary files, whose offsets begin where those of
// the GGUF file end. It has holes: a tensor takes room in it from the moment that somebody asks for its file.
type oneFile struct {
	file   *gguf.File
	opened fs.FileInfo // before the head was read

	places []place // ascending
	end    int64   // of the last of them

	mu      sync.Mutex
	written *os.File // nil until asked for
	decoded *os.File // the same file, to read only
	filled  map[string]bool
}

// place is where a quantised tensor is once it is decoded.
type place struct {
	at     int64
	tensor gguf.Tensor
}

func newOneFile(file *gguf.File, opened fs.FileInfo) *oneFile {
	return &oneFile{file: file, opened: opened, end: file.Size(), filled: map[string]bool{}}
}

// place gives a quantised tensor its offset.
func (s *oneFile) place(t gguf.Tensor) int64 {
	at := s.end
	s.places = append(s.places, place{at, t})
	s.end += 4 * int64(t.Elements())
	return at
}

// reader reads what lies at the offset of a Ref: a tensor, or a part of one.
func (s *oneFile) reader(offset int64) io.ReaderAt {
	after, _ := slices.BinarySearchFunc(s.places, offset, func(p place, offset int64) int { return cmp.Compare(p.at, offset+1) })
	if after == 0 {
		return s.file
	}
	p := s.places[after-1]
	return &decoding{s, p, s.file.Floats(p.tensor)}
}

// read returns a copy of a tensor's bytes, decoded where it is quantised.
func (s *oneFile) read(t Tensor) ([]byte, error) {
	p := make([]byte, t.Length)
	if n, err := s.reader(t.Offset).ReadAt(p, t.Offset); n < len(p) {
		return nil, fault.New(fault.IORead, "reading failed after %d of %d bytes", n, len(p)).In(s.file.Name()).Of(t.Name).
			Wrap(reference.Bare(err)).Fix("check the disk")
	}
	return p, nil
}

func (s *oneFile) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.file.Close()
	if s.decoded != nil {
		err = errors.Join(err, s.decoded.Close(), s.written.Close())
		s.decoded, s.written = nil, nil
	}
	return err
}

// decoding is a quantised tensor that reads as F32.
type decoding struct {
	*oneFile
	place
	floats io.ReaderAt
}

// ReadAt decodes what is asked for, from the bytes as they are stored.
func (d *decoding) ReadAt(p []byte, offset int64) (int, error) {
	return d.floats.ReadAt(p, offset-d.at)
}

// OpenOs is the file that holds the tensor decoded, at the offset of its Ref. The base owns it.
func (d *decoding) OpenOs() (*os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.decoded == nil {
		if err := d.create(); err != nil {
			return nil, d.fault(err)
		}
	}
	if d.filled[d.tensor.Name] {
		return d.decoded, nil
	}
	to := &counted{w: io.NewOffsetWriter(d.written, d.at)}
	_, err := io.CopyBuffer(to, io.NewSectionReader(d.floats, 0, 4*int64(d.tensor.Elements())), make([]byte, 256<<10))
	switch {
	case to.err != nil:
		return nil, d.fault(to.err)
	case err != nil:
		return nil, err
	}
	d.filled[d.tensor.Name] = true
	return d.decoded, nil
}

// create makes the file and takes its name away.
func (s *oneFile) create() error {
	written, err := os.CreateTemp("", "tenon-gguf-*")
	if err != nil {
		return err
	}
	decoded, err := reopen(written)
	if err = errors.Join(err, os.Remove(written.Name()), written.Truncate(s.end)); err != nil {
		if decoded != nil {
			decoded.Close()
		}
		return errors.Join(err, written.Close())
	}
	s.written, s.decoded = written, decoded
	return nil
}

// fault says that there is no place for the decoded tensor.
func (d *decoding) fault(err error) *fault.Error {
	code := fault.IOWrite
	if errors.Is(err, syscall.ENOSPC) {
		code = fault.IOSpace
	}
	return fault.New(code, "there is no place for its %d bytes in F32", 4*int64(d.tensor.Elements())).In(d.file.Name()).Of(d.tensor.Name).
		Wrap(reference.Bare(err)).Fix("free some space in the directory for temporary files, or name another one in TMPDIR")
}

// counted tells failures to write from failures to read, which io.CopyBuffer does not.
type counted struct {
	w   io.Writer
	err error
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil {
		c.err = err
	}
	return n, err
}
