package merge

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// verifying is one look at a merged directory. Tensors and other files are hashed as many at a time as there are processors.
type verifying struct {
	dir   string
	root  *os.Root
	ctx   context.Context
	group *errgroup.Group
	open  []*os.File

	tensors *couples

	mu     sync.Mutex
	faults fault.List // what differs; an error of the group is that it cannot be known
}

func (v *verifying) close() {
	for _, f := range v.open {
		f.Close()
	}
}

func (v *verifying) add(e *fault.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults.Add(e.Fix("merge again"))
}

// file opens one file of the receipt and begins to hash what is in it.
func (v *verifying) file(want ReceiptFile, tensors []ReceiptTensor) error {
	path := filepath.Join(v.dir, want.Name)
	f, err := v.root.OpenFile(want.Name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.add(fault.New(fault.DigestBad, "a file of the receipt is missing").In(path))
		return nil
	case err != nil: // a symbolic link that leads out of the directory, or no permission
		v.add(fault.New(fault.DigestBad, "a file of the receipt cannot be opened").In(path).Wrap(err))
		return nil
	}
	v.open = append(v.open, f)
	info, err := f.Stat()
	if err != nil {
		return fault.New(fault.IORead, "it cannot be read").In(path).Wrap(err)
	}
	if !info.Mode().IsRegular() || info.Size() != want.Size {
		v.add(fault.New(fault.DigestBad, "%d bytes, the receipt says %d", info.Size(), want.Size).In(path))
		return nil
	}
	if want.Header != "" {
		return v.weights(f, path, want, tensors)
	}
	v.group.Go(func() error {
		sum, err := v.hash(f, 0, want.Size)
		if err != nil {
			return fault.New(fault.IORead, "it cannot be read to its end").In(path).Wrap(err)
		}
		if sum != want.SHA256 {
			v.add(fault.New(fault.DigestBad, "its bytes are not those the receipt was written for").In(path))
		}
		return nil
	})
	return nil
}

// weights reads a header, which must be the receipt's and name the same tensors, and begins to hash those. A header that parses leaves no
// byte of the file to nobody.
func (v *verifying) weights(f *os.File, path string, want ReceiptFile, tensors []ReceiptTensor) error {
	header, err := safetensors.ReadHeader(path, f, want.Size, safetensors.BaseLimits)
	if err != nil {
		if fault.ClassOf(err) == fault.Operational {
			return err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.faults = append(v.faults, fault.All(err)...)
		return nil
	}
	sum, err := v.hash(f, 0, header.DataStart)
	if err != nil {
		return fault.New(fault.IORead, "its header cannot be read").In(path).Wrap(err)
	}
	if sum != want.Header {
		v.add(fault.New(fault.DigestBad, "the header's bytes are not those the receipt was written for").In(path).AtByte(0))
	}
	listed := make(map[string]bool, len(tensors))
	for _, want := range tensors {
		listed[want.Name] = true
		t, ok := header.Tensor(want.Name)
		if !ok {
			v.add(fault.New(fault.DigestBad, "the tensor is gone").In(path).Of(want.Name))
			continue
		}
		v.tensors.add(&reading{file: f, ref: t.Ref, done: func(sum [32]byte) error {
			if got := hexDigest(sum); got != want.SHA256 {
				v.add(fault.New(fault.DigestBad, "bytes hash to %s, the receipt says %s", got, want.SHA256).In(path).Of(want.Name).AtByte(t.Offset))
			}
			return nil
		}})
	}
	for _, t := range header.Tensors {
		if !listed[t.Name] {
			v.add(fault.New(fault.DigestBad, "the receipt does not know this tensor").In(path).Of(t.Name).AtByte(t.Offset))
		}
	}
	return nil
}

// hash is the SHA-256 of a part of a file, in hexadecimal digits.
func (v *verifying) hash(f *os.File, offset, length int64) (string, error) {
	h := newDigest()
	reader := contextReader{v.ctx, io.NewSectionReader(f, offset, length)}
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, reader, make([]byte, min(length+1, blockBytes)))
	if err == nil && n != length {
		err = io.ErrUnexpectedEOF
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// contextReader stops a long read when its context ends.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
