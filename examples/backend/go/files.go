package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// A host decides by the code of an error alone; the words are for people. Package backend lists the codes.
func invalid(words string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, words, args...)
}

func notNow(words string, args ...any) error {
	return status.Errorf(codes.FailedPrecondition, words, args...)
}

// files are the open files of one request, in its order. Whoever has one closes it.
type files struct {
	open   []*os.File
	claims []*backendpb.File
}

// openFiles opens files that must be as long as promised, and of the promised digest where there is one. One that is written may be longer.
func openFiles(claims []*backendpb.File, flag int) (_ *files, err error) {
	f := &files{claims: claims}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	for _, claim := range claims {
		info, err := os.Stat(claim.Path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, status.Errorf(codes.NotFound, "%v", err)
		}
		if err == nil && !info.Mode().IsRegular() { // before it is opened: opening a pipe waits for its other end
			return nil, invalid("%q is no regular file", claim.Path)
		}
		file, err := os.OpenFile(claim.Path, flag, 0)
		if err != nil {
			return nil, notNow("%v", err)
		}
		f.open = append(f.open, file)
		if info.Size() < claim.Size || info.Size() > claim.Size && flag == os.O_RDONLY {
			return nil, status.Errorf(codes.DataLoss, "%q has %d bytes, promised were %d", claim.Path, info.Size(), claim.Size)
		}
		if len(claim.Sha256) == 0 || flag != os.O_RDONLY {
			continue
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, file); err != nil || !bytes.Equal(hash.Sum(nil), claim.Sha256) {
			return nil, status.Errorf(codes.DataLoss, "the bytes of %q are not those that were promised (%v)", claim.Path, err)
		}
	}
	return f, nil
}

func (f *files) close() {
	for _, file := range f.open {
		_ = file.Close()
	}
}

// check refuses a row that cannot be right: a process that holds other people's weights trusts no one.
func (f *files) check(t *backendpb.Tensor) error {
	dtype, known := tensor.ParseDType(t.GetDtype())
	if !known {
		return invalid("tensor %q: there is no dtype %q", t.GetName(), t.GetDtype())
	}
	bits := int64(dtype.Bits())
	for _, n := range t.Shape {
		if n < 0 || n > 0 && bits > math.MaxInt64/n {
			return invalid("tensor %q: shape %v", t.Name, t.Shape)
		}
		bits *= n
	}
	if bits != 8*t.Length || t.Length > math.MaxInt64/8 {
		return invalid("tensor %q: %v of %s are not %d bytes", t.Name, t.Shape, t.Dtype, t.Length)
	}
	if t.File < 0 || int(t.File) >= len(f.claims) || t.Offset < 0 || t.Offset > f.claims[t.File].Size-t.Length {
		return invalid("tensor %q lies in no file of this request", t.Name)
	}
	return nil
}

// read reads a tensor that was checked.
func (f *files) read(t *backendpb.Tensor) ([]byte, error) {
	stored := make([]byte, t.Length)
	if _, err := f.open[t.File].ReadAt(stored, t.Offset); err != nil {
		return nil, status.Errorf(codes.DataLoss, "tensor %q: %v", t.Name, err)
	}
	return stored, nil
}

// factor reads a factor, widened to f32.
func (f *files) factor(t *backendpb.Tensor) ([]float32, error) {
	stored, err := f.read(t)
	if err != nil {
		return nil, err
	}
	dtype, _ := tensor.ParseDType(t.Dtype)
	return values(stored, dtype), nil
}

// refuseOverlap refuses tensors that share bytes.
func refuseOverlap(tensors []*backendpb.Tensor) error {
	tensors = slices.SortedFunc(slices.Values(tensors), func(a, b *backendpb.Tensor) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length))
	})
	for i, t := range tensors[1:] {
		if before := tensors[i]; t.File == before.File && t.Offset < before.Offset+before.Length {
			return invalid("tensors %q and %q overlap", before.Name, t.Name)
		}
	}
	return nil
}

// checkPatches refuses patches that do not fit the weights they are of.
func (f *files) checkPatches(patches []*backendpb.Patch, weight func(name string) *backendpb.Tensor) error {
	var factors []*backendpb.Tensor
	seen := map[string]bool{}
	for _, p := range patches {
		w := weight(p.GetTensor())
		if w == nil || seen[p.Tensor] {
			return invalid("tensor %q is not in the base, or is patched twice", p.GetTensor())
		}
		seen[p.Tensor] = true
		if len(w.Shape) != 2 || !merges(w.Dtype) {
			return invalid("tensor %q, %s %v, is no matrix that can be merged", w.Name, w.Dtype, w.Shape)
		}
		if err := errors.Join(f.check(p.A), f.check(p.B)); err != nil {
			return invalid("%v", err)
		}
		out, in := w.Shape[0], w.Shape[1]
		if p.FanInFanOut {
			out, in = in, out
		}
		if len(p.A.Shape) != 2 || p.A.Shape[0] == 0 || !slices.Equal(p.A.Shape, []int64{p.A.Shape[0], in}) ||
			!slices.Equal(p.B.Shape, []int64{out, p.A.Shape[0]}) || !merges(p.A.Dtype) || !merges(p.B.Dtype) {
			return invalid("factors %s %v and %s %v do not fit %q, %v", p.A.Dtype, p.A.Shape, p.B.Dtype, p.B.Shape, w.Name, w.Shape)
		}
		if !(math.Abs(p.Scale) <= math.MaxFloat32) {
			return invalid("scale %v is no f32", p.Scale)
		}
		factors = append(factors, p.A, p.B)
	}
	if len(patches) == 0 {
		return invalid("a merge of nothing")
	}
	// Two patches may have one factor in common.
	slices.SortFunc(factors, func(a, b *backendpb.Tensor) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length))
	})
	return refuseOverlap(slices.CompactFunc(factors, func(a, b *backendpb.Tensor) bool {
		return a.File == b.File && a.Offset == b.Offset && a.Length == b.Length
	}))
}

func merges(dtype string) bool { return slices.Contains(dtypes, dtype) }
