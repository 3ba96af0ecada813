package merge

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// verifyOutputs reads what the backend wrote back from the files: it must hash to what the backend said and multiply as the reference does.
func (p *Plan) verifyOutputs(ctx context.Context, shards []shard, outputs map[string]output, digests Digests) error {
	seed := newProbeSeed()
	files := make([]*os.File, len(shards))
	for i, s := range shards {
		f, err := os.Open(s.path)
		if err != nil {
			return fault.New(fault.IORead, "it cannot be read back").In(s.path).Wrap(err)
		}
		defer f.Close()
		files[i] = f
	}
	return p.each(ctx, func(item Item) error {
		out := outputs[item.Name]
		sum, product, err := readBack(files[out.shard], out.Ref, backend.Probe(seed, item.Name, out.Shape[1]))
		if err != nil {
			return fault.New(fault.IORead, "it cannot be read back").In(shards[out.shard].path).Of(item.Name).AtByte(out.Offset).Wrap(err)
		}
		if sum != digests[item.Name] {
			return mismatch(item, "the file's bytes hash to %x, the backend said %x", sum, digests[item.Name])
		}
		return p.checkProduct(item, seed, product)
	})
}

// readBack hashes a stored matrix and multiplies it with the probe x, columns ascending in f64.
func readBack(r io.ReaderAt, ref tensor.Ref, x []int8) (sum [32]byte, product []float64, err error) {
	h := newDigest()
	row, values := make([]byte, len(x)*ref.DType.Size()), make([]float64, len(x))
	product = make([]float64, ref.Shape[0])
	for i := range product {
		if _, err := r.ReadAt(row, ref.Offset+int64(i)*int64(len(row))); err != nil {
			return sum, nil, err
		}
		h.Write(row)
		if err := tensor.ToF64(values, row, ref.DType); err != nil {
			return sum, nil, err
		}
		for j, value := range values {
			product[i] += float64(value * float64(x[j]))
		}
	}
	return [32]byte(h.Sum(nil)), product, nil
}

// list carries over the base's other files, hashes every file and tensor, and enters them in the receipt.
func (p *Plan) list(ctx context.Context, work string, shards []shard, merged Digests, changed map[string]int64, r *Receipt) error {
	isShard := map[string]bool{}
	for i, s := range shards {
		name := p.Base.Shards[i].Name
		isShard[name] = true
		if err := listShard(ctx, s.path, name, p.Base.Shards[i], merged, changed, r); err != nil {
			return err
		}
	}
	for _, f := range p.Base.Files {
		if isShard[f.Name] || f.Name == ReceiptName {
			continue // a base that was itself merged has a receipt of its own, which is not true of this directory
		}
		if err := copyFile(f, filepath.Join(work, f.Name)); err != nil {
			return err
		}
		r.Files = append(r.Files, ReceiptFile{f.Name, f.Size, hexDigest(f.SHA256)})
	}
	slices.SortFunc(r.Files, func(a, b ReceiptFile) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Tensors, func(a, b ReceiptTensor) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// listShard reads a finished shard as any reader of the format would, once, and compares every untouched tensor with the base's.
func listShard(ctx context.Context, path, name string, source base.Shard, merged Digests, changed map[string]int64, r *Receipt) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	whole := newDigest()
	if _, err := io.Copy(whole, contextReader{ctx, io.NewSectionReader(f.Os(), 0, f.Header.Bytes)}); err != nil {
		return fault.New(fault.IORead, "it cannot be read back").In(path).Wrap(err)
	}
	r.Files = append(r.Files, ReceiptFile{name, f.Header.Bytes, hex.EncodeToString(whole.Sum(nil))})
	for _, t := range f.Tensors {
		if err := ctx.Err(); err != nil {
			return err
		}
		sum, err := hashSection(f.Os(), t.Ref)
		if err != nil {
			return err
		}
		entry := ReceiptTensor{Name: t.Name, File: name, SHA256: hexDigest(sum)}
		if want, ok := merged[t.Name]; ok {
			if sum != want {
				return fault.New(fault.MergeMismatch, "the merged bytes changed on their way to disk").In(path).Of(t.Name).AtByte(t.Offset)
			}
			entry.Merged, entry.Changed = true, changed[t.Name]
		} else {
			original, ok := source.Tensor(t.Name)
			if !ok {
				return fault.New(fault.MergeMismatch, "the base has no such tensor in this shard").In(path).Of(t.Name)
			}
			want, err := hashSection(source.Os(), original.Ref)
			if err != nil {
				return err
			}
			if sum != want {
				return fault.New(fault.STChanged, "a tensor no delta touches is not what the base holds").In(path).Of(t.Name).AtByte(t.Offset).Fix("merge again, on a base nobody is writing to")
			}
		}
		r.Tensors = append(r.Tensors, entry)
	}
	return nil
}

func hashSection(f *os.File, ref tensor.Ref) (sum [32]byte, err error) {
	h := newDigest()
	n, err := io.Copy(h, io.NewSectionReader(f, ref.Offset, ref.Length))
	if err == nil && n != ref.Length {
		err = errors.New("the file ends inside the tensor")
	}
	if err != nil {
		return sum, fault.New(fault.IORead, "it cannot be read").In(f.Name()).Of(ref.Name).AtByte(ref.Offset).Wrap(err)
	}
	return [32]byte(h.Sum(nil)), nil
}
