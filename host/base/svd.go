package base

import (
	"context"
	"errors"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// SVD holds the top K singular triples of one weight W (out x in), in descending order: the columns of U (out x K, F32) and V (in x K, F32)
// and the values S (K, F64). The largest entry of each column of U is positive. The refs lie in File, which Close closes.
type SVD struct {
	*safetensors.File
	K       int
	U, S, V tensor.Ref
}

// leastK is the smallest number of triples that is computed.
const leastK = 16

// SVD returns at least the top k singular triples of a two-dimensional weight, k being at most its smaller side. With transposed the
// checkpoint stores W as in x out. They are computed once and kept under cacheDir, in a file named by the base's digest and the tensor; a
// cache file that is damaged or not this base's is computed again, and a cache that cannot be written is done without. cacheDir "" keeps
// nothing. The caller closes the result.
//
// K is k rounded up to a power of two, so that one file serves most ranks and yet the numbers never depend on what was asked for earlier:
// the last bits of a singular value can change with the number of triples that are computed together.
func (b *Base) SVD(ctx context.Context, t Tensor, transposed bool, k int, cacheDir string) (*SVD, error) {
	if len(t.Shape) != 2 {
		return nil, fault.New(fault.BSTensor, "the weight has %d dimensions and a singular value decomposition needs 2", len(t.Shape)).
			In(b.FileName(t)).Of(t.Name)
	}
	out, in := t.Shape[0], t.Shape[1]
	if transposed {
		out, in = in, out
	}
	want := svdFile{base: b.Digest, tensor: t.Name, transposed: transposed, out: out, in: in, k: roundRank(k, min(out, in))}
	if cacheDir != "" {
		if found, err := want.open(cacheDir); err == nil {
			return found, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	u, s, v, err := b.topTriples(ctx, t, transposed, want.k)
	if err != nil {
		return nil, err
	}
	text, err := want.encode(u, s, v)
	if err != nil {
		return nil, err
	}
	if cacheDir != "" && want.store(cacheDir, text) == nil {
		if found, err := want.open(cacheDir); err == nil {
			return found, nil
		}
	}
	return want.private(text)
}

// roundRank is the number of triples computed for a rank k of a matrix whose smaller side is most.
func roundRank(k, most int) int {
	rounded := leastK
	for rounded < k && rounded < most {
		rounded *= 2
	}
	return min(rounded, most)
}

// topTriples computes the decomposition from the stored bytes.
func (b *Base) topTriples(ctx context.Context, t Tensor, transposed bool, k int) (
	u *kernel.Matrix, s []float64, v *kernel.Matrix, err error,
) {
	u, s, v, err = kernel.TopSVD(ctx, kernel.Stored{Ref: t.Ref, Reader: b.Reader(t)}, transposed, k)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, nil, ctx.Err()
		}
		code := fault.IORead
		if errors.Is(err, kernel.ErrNumeric) {
			code = fault.BSTensor
		}
		return nil, nil, nil, fault.New(code, "its singular values cannot be computed").In(b.FileName(t)).Of(t.Name).Wrap(err).
			Fix("check that the base is complete and its values are finite")
	}
	return u, s, v, nil
}
