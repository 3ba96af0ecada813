package base

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/google/renameio/v2"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// svdFormat names what a cache file holds and how it was computed. Change it with the computation: files of another format are not read.
const svdFormat = "tenon.base-svd/v1"

// svdFile is one file of the cache: whose triples it holds, and their shape.
type svdFile struct {
	base       [32]byte
	tensor     string
	transposed bool
	out, in, k int
}

// path is CACHE/base-svd/<base digest>/<SHA-256 of the tensor's name>-k<k>.safetensors, with -t before the k for a transposed weight. A
// tensor's name is foreign text and may not fit a file name; its hash does.
func (f svdFile) path(cacheDir string) string {
	name := sha256.Sum256([]byte(f.tensor))
	side := ""
	if f.transposed {
		side = "-t"
	}
	return filepath.Join(cacheDir, "base-svd", hex.EncodeToString(f.base[:]), fmt.Sprintf("%x%s-k%d.safetensors", name, side, f.k))
}

// metadata says what the file is, so that a file that was moved or renamed is not taken for another; data is everything after the header.
func (f svdFile) metadata(data []byte) map[string]string {
	return map[string]string{"format": svdFormat, "base": hex.EncodeToString(f.base[:]), "tensor": f.tensor,
		"transposed": strconv.FormatBool(f.transposed), "k": strconv.Itoa(f.k), "sha256": fmt.Sprintf("%x", sha256.Sum256(data))}
}

// encode writes the file.
func (f svdFile) encode(u *kernel.Matrix, s []float64, v *kernel.Matrix) ([]byte, error) {
	var data bytes.Buffer
	for _, value := range s { // first, so that every tensor begins at a multiple of its element size
		data.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(value)))
	}
	for _, m := range []*kernel.Matrix{u, v} {
		for _, value := range m.Data {
			data.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(value))))
		}
	}
	header, _, _, err := safetensors.Layout(f.entries(), f.metadata(data.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("writing the singular values of %s: %w", f.tensor, err)
	}
	return append(header, data.Bytes()...), nil
}

func (f svdFile) entries() []safetensors.Entry {
	return []safetensors.Entry{{Name: "S", DType: tensor.F64, Shape: []int{f.k}}, {Name: "U", DType: tensor.F32, Shape: []int{f.out, f.k}},
		{Name: "V", DType: tensor.F32, Shape: []int{f.in, f.k}}}
}

// store puts the file in the cache in one step. Two processes that store the same file store the same bytes.
func (f svdFile) store(cacheDir string, text []byte) error {
	path := f.path(cacheDir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, text, 0o600)
}

// private keeps the file where nothing else can name it, for as long as it is open. Its descriptor only reads: workers are handed it.
func (f svdFile) private(text []byte) (*SVD, error) {
	written, err := os.CreateTemp("", "tenon-svd-*")
	if err != nil {
		return nil, fault.New(fault.IOWrite, "there is no place for the singular values of the base").Wrap(err).
			Fix("free some space for temporary files")
	}
	defer os.Remove(written.Name())
	defer written.Close()
	_, err = written.Write(text)
	var file *os.File
	if err == nil {
		file, err = reopen(written)
	}
	if err != nil {
		return nil, fault.New(fault.IOWrite, "the singular values of the base cannot be kept").In(written.Name()).Wrap(err).
			Fix("free some space for temporary files")
	}
	opened, err := safetensors.OpenFile(file.Name(), file, safetensors.DefaultLimits)
	if err != nil {
		return nil, err
	}
	return f.check(opened)
}

// reopen opens the same file once more, to read it only.
func reopen(written *os.File) (*os.File, error) {
	want, err := written.Stat()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(written.Name())
	if err != nil {
		return nil, err
	}
	if have, err := file.Stat(); err != nil || !os.SameFile(want, have) {
		return nil, errors.Join(errors.New("another file took its name"), err, file.Close())
	}
	return file, nil
}

// open opens the file in the cache. Any error means that it has to be computed again.
func (f svdFile) open(cacheDir string) (*SVD, error) {
	opened, err := safetensors.Open(f.path(cacheDir))
	if err != nil {
		return nil, err
	}
	return f.check(opened)
}

// check holds a file against what it should be and takes it over; it closes what it refuses.
func (f svdFile) check(opened *safetensors.File) (*SVD, error) {
	refuse := func(cause string) (*SVD, error) {
		return nil, errors.Join(fmt.Errorf("%s: %s", opened.Name(), cause), opened.Close())
	}
	_, want, size, err := safetensors.Layout(f.entries(), f.metadata(nil))
	if err != nil || opened.Size() != size || len(opened.Tensors) != len(want) {
		return refuse("not the singular values of this weight")
	}
	for i, t := range opened.Tensors {
		if t.Name != want[i].Name || t.DType != want[i].DType || t.Offset != want[i].Offset || !slices.Equal(t.Shape, want[i].Shape) {
			return refuse("not the singular values of this weight")
		}
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(opened, want[0].Offset, size)); err != nil {
		return refuse("it cannot be read")
	}
	metadata := f.metadata(nil)
	metadata["sha256"] = hex.EncodeToString(sum.Sum(nil))
	for key, value := range metadata {
		if opened.Metadata[key] != value {
			return refuse(key + " is not what it must be")
		}
	}
	return &SVD{File: opened, K: f.k, S: opened.Tensors[0].Ref, U: opened.Tensors[1].Ref, V: opened.Tensors[2].Ref}, nil
}
