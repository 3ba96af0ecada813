package merge

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/reference"
)

// isFile reports whether a path is of something that is no directory.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// verifyGGUF reads every byte of a merged GGUF file and holds it against the receipt beside it.
func verifyGGUF(ctx context.Context, path string) (*Receipt, error) {
	receiptPath := GGUFReceiptPath(path)
	text, err := readReceiptFile(receiptPath)
	if err != nil {
		return nil, err
	}
	r, err := ParseReceipt(receiptPath, text)
	if err != nil {
		return nil, err
	}
	faults := r.lacks(filepath.Dir(path))
	if len(r.Files) != 1 || r.Files[0].Header == "" {
		faults.Add(fault.New(fault.ReceiptBad, "the receipt is not of one GGUF file").At("/files").Fix("merge again"))
	}
	for _, e := range faults {
		e.In(receiptPath)
	}
	if len(faults) > 0 {
		return nil, faults.Err()
	}
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	differ, err := r.compareGGUF(ctx, f)
	if err != nil {
		return nil, err
	}
	return r, differ.Err()
}

// readReceiptFile reads the receipt of a GGUF file.
func readReceiptFile(path string) ([]byte, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fault.New(fault.IORead, "the directory cannot be opened").In(filepath.Dir(path)).Wrap(reference.Bare(err)).Fix("check its permissions")
	}
	defer root.Close()
	text, err := readRegular(root, filepath.Base(path), maxReceipt)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.IONotFound, "there is no receipt").In(path).Fix("only a file that `tenon merge` wrote can be verified, with its receipt beside it")
	case err != nil:
		return nil, fault.New(fault.IORead, "the receipt cannot be read").In(path).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	return text, nil
}

// compareGGUF says what in a file is not what the receipt was written for: the head, a tensor, or the zeros between them.
func (r *Receipt) compareGGUF(ctx context.Context, f *gguf.File) (fault.List, error) {
	var faults fault.List
	differs := func(cause string, args ...any) *fault.Error {
		e := fault.New(fault.DigestBad, cause, args...).In(f.Name()).Fix("merge again")
		faults.Add(e)
		return e
	}
	if want := r.Files[0].Size; f.Size() != want {
		differs("%d bytes, the receipt says %d", f.Size(), want)
	}
	head := make([]byte, f.DataStart)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, fault.New(fault.IORead, "its head cannot be read").In(f.Name()).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	if hexDigest(sha256.Sum256(head)) != r.Files[0].Header {
		differs("the head's bytes are not those the receipt was written for").AtByte(0)
	}
	listed := map[string]string{}
	for _, t := range r.Tensors {
		listed[t.Name] = t.SHA256
		if _, ok := f.Tensor(t.Name); !ok {
			differs("the tensor is gone").Of(t.Name)
		}
	}
	sums := make([][32]byte, len(f.Tensors))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, t := range f.Tensors {
		group.Go(func() error {
			return readBack(ctx, &reading{file: f.Os(), ref: ggufRef(t), done: func(sum [32]byte) error { sums[i] = sum; return nil }})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, t := range f.Tensors {
		want, ok := listed[t.Name]
		if got := hexDigest(sums[i]); !ok {
			differs("the receipt does not know this tensor").Of(t.Name).AtByte(t.Offset)
		} else if got != want {
			differs("bytes hash to %s, the receipt says %s", got, want).Of(t.Name).AtByte(t.Offset)
		}
		end, next := t.Offset+t.Length, f.Size()
		if i+1 < len(f.Tensors) {
			next = f.Tensors[i+1].Offset
		}
		between := make([]byte, next-end)
		if _, err := f.ReadAt(between, end); err != nil && len(between) > 0 {
			return nil, fault.New(fault.IORead, "it cannot be read").In(f.Name()).AtByte(end).Wrap(reference.Bare(err)).Fix("check the disk")
		}
		for j, b := range between {
			if b != 0 {
				differs("a byte after the tensor is %s, not zero", fmt.Sprintf("0x%02x", b)).Of(t.Name).AtByte(end + int64(j))
				break
			}
		}
	}
	return faults, nil
}
