package merge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/fault"
)

// Verify reads every byte of a merged directory and holds it against the receipt. Everything that is wrong comes back in one fault.List:
// a tensor whose bytes differ, a header or other file that differs, a file that is missing, and one the receipt does not know.
//
// A path of a file is that of a merged GGUF file, whose receipt lies beside it.
func Verify(ctx context.Context, dir string) (*Receipt, error) {
	if isFile(dir) {
		return verifyGGUF(ctx, dir)
	}
	r, err := ReadReceipt(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.New(fault.IORead, "the directory cannot be opened").In(dir).Wrap(err)
	}
	defer root.Close()
	known, listed, faults := r.sort(dir)
	faults = append(faults, r.lacks(dir)...)
	v := &verifying{dir: dir, root: root}
	v.group, v.ctx = errgroup.WithContext(ctx)
	v.group.SetLimit(runtime.GOMAXPROCS(0))
	v.tensors = &couples{start: func(tensors ...*reading) { v.group.Go(func() error { return readBack(v.ctx, tensors...) }) }}
	defer v.close()
	for _, f := range listed {
		if err = v.file(f.ReceiptFile, f.tensors); err != nil {
			break
		}
	}
	v.tensors.end()
	if err := errors.Join(err, v.group.Wait()); err != nil {
		return nil, err
	}
	faults = append(faults, v.faults...)
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

// listedFile is a file of a receipt with its tensors.
type listedFile struct {
	ReceiptFile
	tensors []ReceiptTensor
}

// sort puts a receipt's tensors to their files, and says what in it contradicts itself. known are the names that may be in the directory.
func (r *Receipt) sort(dir string) (known map[string]bool, listed []listedFile, faults fault.List) {
	path := filepath.Join(dir, ReceiptName)
	byFile, tensors := map[string][]ReceiptTensor{}, map[string]bool{}
	for i, t := range r.Tensors {
		if tensors[t.Name] {
			faults.Add(fault.New(fault.ReceiptBad, "the tensor comes twice").In(path).At(fmt.Sprintf("/tensors/%d/name", i)).Of(t.Name))
			continue
		}
		tensors[t.Name] = true
		byFile[t.File] = append(byFile[t.File], t)
	}
	known = map[string]bool{ReceiptName: true}
	for i, f := range r.Files {
		place := fmt.Sprintf("/files/%d", i)
		switch {
		case !filepath.IsLocal(f.Name) || known[f.Name]:
			faults.Add(fault.New(fault.ReceiptBad, "file name %q leaves the directory or comes twice", f.Name).In(path).At(place + "/name"))
			continue
		case (f.SHA256 == "") == (f.Header == ""):
			faults.Add(fault.New(fault.ReceiptBad, "file %q has not one of sha256 and headerSha256", f.Name).In(path).At(place))
		case f.SHA256 != "" && len(byFile[f.Name]) > 0:
			faults.Add(fault.New(fault.ReceiptBad, "tensors are listed in file %q, which is none of weights", f.Name).In(path).At(place))
		default:
			listed = append(listed, listedFile{f, byFile[f.Name]})
		}
		known[f.Name] = true
		delete(byFile, f.Name)
	}
	for name := range byFile {
		faults.Add(fault.New(fault.ReceiptBad, "tensors are listed in file %q, which is not", name).In(path).At("/tensors"))
	}
	return known, listed, faults
}

// lacks says what a receipt that merge wrote would have. One without tensors would be true of any directory, and one whose content is not
// that of its tensors was not written by a merge.
func (r *Receipt) lacks(dir string) (faults fault.List) {
	bad := func(pointer, cause string, args ...any) {
		faults.Add(fault.New(fault.ReceiptBad, cause, args...).In(filepath.Join(dir, ReceiptName)).At(pointer).Fix("merge again"))
	}
	merged := Digests{}
	for i, t := range r.Tensors {
		sum, err := hex.DecodeString(t.SHA256)
		if err != nil || len(sum) != sha256.Size {
			bad(fmt.Sprintf("/tensors/%d/sha256", i), "%q is no SHA-256", t.SHA256)
		} else if t.Merged || t.Added {
			merged[t.Name] = [32]byte(sum)
		}
	}
	if content := DigestString(merged.content()); len(merged) == 0 {
		bad("/tensors", "no tensor is a merged or an added one")
	} else if len(faults) == 0 && r.Content != content {
		bad("/content", "the content is %s, and that of the listed tensors %s", r.Content, content)
	}
	if len(r.Adapters) == 0 {
		bad("/adapters", "no adapter was merged")
	}
	if len(r.Adapters) > 1 && r.Combination == nil {
		bad("/combination", "nothing says how %d adapters became one change", len(r.Adapters))
	}
	if r.Gate.Verdict.Open() == (r.Gate.Override != "") {
		bad("/gate", "the merge has neither an open verdict nor a reason to go without one, or it has both")
	}
	return faults
}

func leadsTo(files []ReceiptFile, dir string) bool {
	return slices.ContainsFunc(files, func(f ReceiptFile) bool { return strings.HasPrefix(f.Name, dir+"/") })
}
