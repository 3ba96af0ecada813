package merge

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// Verify reads every byte of a merged directory and holds it against the receipt. Everything that is wrong comes back in one fault.List:
// a tensor whose bytes differ, a header or other file that differs, a file that is missing, and one the receipt does not know.
func Verify(ctx context.Context, dir string) (*Receipt, error) {
	r, err := ReadReceipt(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.New(fault.IORead, "the directory cannot be opened").In(dir).Wrap(err)
	}
	defer root.Close()
	var faults fault.List
	byFile := map[string][]ReceiptTensor{}
	for _, t := range r.Tensors {
		byFile[t.File] = append(byFile[t.File], t)
	}
	known := map[string]bool{ReceiptName: true}
	for i, f := range r.Files {
		if !filepath.IsLocal(f.Name) || known[f.Name] {
			faults.Add(fault.New(fault.ReceiptBad, "file name %q leaves the directory or comes twice", f.Name).In(filepath.Join(dir, ReceiptName)).
				At(fmt.Sprintf("/files/%d/name", i)))
			continue
		}
		known[f.Name] = true
		if err := verifyFile(ctx, root, dir, f, byFile[f.Name]); err != nil {
			found := fault.All(err)
			if len(found) == 0 {
				return nil, err
			}
			faults = append(faults, found...)
		}
		delete(byFile, f.Name)
	}
	for name := range byFile {
		faults.Add(fault.New(fault.ReceiptBad, "tensors are listed in file %q, which is not", name).In(filepath.Join(dir, ReceiptName)).At("/tensors"))
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && name != "." && !known[name] && !(entry.IsDir() && leadsTo(r.Files, name)) {
			faults.Add(fault.New(fault.DigestBad, "the receipt does not know this file").In(filepath.Join(dir, name)).Fix("remove it, or merge again"))
		}
		return err
	})
	if err != nil {
		return nil, fault.New(fault.IORead, "the directory cannot be listed").In(dir).Wrap(err)
	}
	return r, faults.Err()
}

func leadsTo(files []ReceiptFile, dir string) bool {
	return slices.ContainsFunc(files, func(f ReceiptFile) bool { return strings.HasPrefix(f.Name, dir+"/") })
}

// verifyFile hashes one file and, in the same pass, each of its tensors.
func verifyFile(ctx context.Context, root *os.Root, dir string, want ReceiptFile, tensors []ReceiptTensor) error {
	path := filepath.Join(dir, want.Name)
	f, err := root.OpenFile(want.Name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.DigestBad, "a file of the receipt is missing").In(path).Fix("merge again")
	case err != nil: // a symbolic link that leads out of the directory, or no permission
		return fault.New(fault.DigestBad, "a file of the receipt cannot be opened").In(path).Wrap(err).Fix("merge again")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fault.New(fault.IORead, "it cannot be read").In(path).Wrap(err)
	}
	if !info.Mode().IsRegular() || info.Size() != want.Size {
		return fault.New(fault.DigestBad, "%d bytes, the receipt says %d", info.Size(), want.Size).In(path).Fix("merge again")
	}
	whole := newDigest()
	if _, err := io.Copy(whole, contextReader{ctx, f}); err != nil {
		return fault.New(fault.IORead, "it cannot be read to its end").In(path).Wrap(err)
	}
	if hex.EncodeToString(whole.Sum(nil)) == want.SHA256 {
		return nil
	}
	if len(tensors) == 0 {
		return fault.New(fault.DigestBad, "its bytes are not those the receipt was written for").In(path).Fix("merge again")
	}
	return verifyTensors(f, path, info.Size(), tensors)
}

// verifyTensors names what differs in a shard that is known to differ.
func verifyTensors(f *os.File, path string, size int64, tensors []ReceiptTensor) error {
	header, err := safetensors.ReadHeader(path, f, size, safetensors.BaseLimits)
	if err != nil {
		return err
	}
	var faults fault.List
	for _, want := range tensors {
		t, ok := header.Tensor(want.Name)
		if !ok {
			faults.Add(fault.New(fault.DigestBad, "the tensor is gone").In(path).Of(want.Name).Fix("merge again"))
			continue
		}
		h := newDigest()
		if _, err := io.Copy(h, io.NewSectionReader(f, t.Offset, t.Length)); err != nil {
			return fault.New(fault.IORead, "it cannot be read").In(path).Of(want.Name).AtByte(t.Offset).Wrap(err)
		}
		if sum := hex.EncodeToString(h.Sum(nil)); sum != want.SHA256 {
			faults.Add(fault.New(fault.DigestBad, "bytes hash to %s, the receipt says %s", sum, want.SHA256).In(path).Of(want.Name).AtByte(t.Offset).Fix("merge again"))
		}
	}
	if len(faults) == 0 {
		faults.Add(fault.New(fault.DigestBad, "every tensor is intact, but the header differs").In(path).AtByte(0).Fix("merge again"))
	}
	return faults.Err()
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
