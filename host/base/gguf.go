package base

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// ggufName is the name of a GGUF file in the line that its base's digest is taken of: such files are renamed at will.
const ggufName = "model.gguf"

// isGGUF reports whether a file begins as GGUF does.
func isGGUF(head []byte) bool { return strings.HasPrefix(string(head), "GGUF") }

// openSingle opens a base that is one file. It owns f.
func openSingle(ref, path string, f *os.File, memory memory) (*Base, error) {
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, fault.New(fault.IORead, "it cannot be read").In(path).Wrap(reference.Bare(err)).Fix("check its permissions, and the disk")
	}
	if head = head[:n]; !isGGUF(head) {
		f.Close()
		return nil, fileFault(path, head)
	}
	return openGGUF(ref, path, f, memory)
}

// openGGUF opens a base that is one GGUF file. It owns f, and closes it when it fails.
//
// Such a base has no shards and no files besides: what it is made of is GGUF. Its tensors have the names that llama.cpp gives them. Those of F32,
// F16 and BF16 are read where they lie; those that are quantised read as F32, dequantised: Reader knows where.
func openGGUF(ref, path string, f *os.File, memory memory) (*Base, error) {
	b := &Base{Ref: ref, shown: path}
	opened, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fault.New(fault.IORead, "its attributes cannot be read").In(path).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	file, err := gguf.OpenFile(path, f, gguf.BaseLimits)
	if err != nil {
		return nil, err
	}
	b.oneFile = newOneFile(file, opened)
	if err := b.readGGUF(path, memory); err != nil {
		b.Close() // the reason why it did not open is all that matters
		return nil, err
	}
	b.servable = sync.OnceValue(func() error {
		return fault.List{fault.New(fault.BSArch, "a base that is a GGUF file is not served").In(path).
			Fix("serve the Hugging Face directory that it was converted from, or a merged GGUF file with llama.cpp")}.Err()
	})
	return b, nil
}

// readGGUF fills b from its file.
func (b *Base) readGGUF(path string, memory memory) error {
	file := b.oneFile.file
	real, err := realPath(path)
	if err != nil {
		return err
	}
	b.Dir = filepath.Dir(real)
	kind, ok := file.Text("general.type")
	switch {
	case ok && kind == "adapter":
		return fault.New(fault.BSConfig, "this is an adapter, not a base model").In(path).At("/general.type").
			Fix("give the GGUF file of the model that the adapter was made for")
	case ok && kind != "model":
		return fault.New(fault.BSConfig, "general.type is %q, not \"model\"", kind).In(path).At("/general.type").Fix("give the GGUF file of a model")
	}
	if b.Config, err = ggufConfig(path, file); err != nil {
		return err
	}
	if err := b.collectGGUF(path); err != nil {
		return err
	}
	sum, known := memory.recall(real, b.oneFile.opened)
	if !known {
		_, _, settled := memory.entry(real, b.oneFile.opened)
		if sum, err = hashFile(path, file.Os(), b.oneFile.opened); err != nil {
			return err
		}
		if settled {
			memory.remember(real, b.oneFile.opened, sum)
		}
	}
	b.Digest = sha256.Sum256(fmt.Appendf(nil, "%x  %s\n", sum, ggufName))
	return nil
}

// realPath is the absolute path of a file, without symbolic links.
func realPath(path string) (string, error) {
	real, err := filepath.Abs(path)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return "", fault.New(fault.IORead, "its path cannot be followed").In(path).Wrap(reference.Bare(err)).Fix("check the path")
	}
	return real, nil
}

// ggufDTypes are the types of ggml that tensors of a checkpoint have too.
var ggufDTypes = map[gguf.Type]tensor.DType{
	gguf.F32: tensor.F32, gguf.F16: tensor.F16, gguf.BF16: tensor.BF16, 24: tensor.I8, 25: tensor.I16, 26: tensor.I32, 27: tensor.I64, 28: tensor.F64,
}

// collectGGUF lists the tensors by name. Those that are stored as a checkpoint could have them keep their offsets; the others get the offsets that
// they have once they are decoded.
func (b *Base) collectGGUF(path string) error {
	var faults fault.List
	b.index = map[string]int{}
	for _, t := range b.oneFile.file.Tensors {
		ref := tensor.Ref{Name: t.Name, Shape: t.Shape, Offset: t.Offset, Length: t.Length}
		if d, plain := ggufDTypes[t.Type]; plain {
			ref.DType = d
		} else if t.Type.Readable() {
			ref.DType, ref.Length = tensor.F32, 4*int64(t.Elements())
			ref.Offset = b.oneFile.place(t)
		} else if len(faults) < maxFaults {
			faults.Add(fault.New(fault.BSQuantized, "the tensor is of type %v, which is not read", t.Type).In(path).Of(t.Name).
				Fix("use the model in F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K or Q6_K, such as a Q4_K_M or Q8_0 file"))
		}
		b.Tensors = append(b.Tensors, Tensor{ref})
	}
	if len(b.Tensors) == 0 {
		faults.Add(fault.New(fault.BSTensor, "the file holds no tensor").In(path).Fix("give the GGUF file of a whole model"))
	}
	slices.SortFunc(b.Tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	for i, t := range b.Tensors {
		b.index[t.Name] = i
	}
	return faults.Err()
}

// GGUF is the file of a base that is one GGUF file, and nil for a checkpoint's directory. Base owns it.
func (b *Base) GGUF() *gguf.File {
	if b.oneFile == nil {
		return nil
	}
	return b.oneFile.file
}

// Architecture is the architecture of a base that is one GGUF file, by llama.cpp's name (general.architecture); gguf is false for a checkpoint's
// directory.
func (b *Base) Architecture() (name string, gguf bool) {
	if b.oneFile == nil {
		return "", false
	}
	return b.Config.ModelType, true
}
