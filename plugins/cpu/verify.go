package cpu

import (
	"context"
	"crypto/sha256"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Verify looks at the resident bytes again: nothing it answers was kept from staging.
func (b *Backend) Verify(ctx context.Context, req *backendpb.VerifyRequest) (*backendpb.VerifyResponse, error) {
	g, err := b.staged(req.Generation)
	if err != nil {
		return nil, err
	}
	defer g.release()
	response := &backendpb.VerifyResponse{Probes: make([]*backendpb.Probe, len(g.tensors)+len(g.kept))}
	err = inOrder(ctx, len(response.Probes), b.options.Workers,
		func(ctx context.Context, i int) (err error) {
			if g.unmerged {
				response.Probes[i] = g.kept[i].probe()
				return nil
			}
			response.Probes[i], err = g.tensors[i].probe(ctx, req.Seed)
			return err
		},
		func(int) error { return nil })
	if err != nil {
		return nil, err
	}
	return response, nil
}

// probe hashes the tensor and multiplies it with its probe vector, in f64 lanes as backendpb.Probe asks for.
func (m *merged) probe(ctx context.Context, seed uint64) (*backendpb.Probe, error) {
	rows, cols := m.matrix()
	stride := cols * m.dtype.Size()
	x := backend.Probe(seed, m.name, cols)
	hash := sha256.New()
	product := make([]float64, rows)
	for i := range product {
		if i%64 == 0 {
			if err := canceled(ctx); err != nil {
				return nil, err
			}
		}
		row := m.bytes[i*stride : (i+1)*stride]
		hash.Write(row)
		product[i] = kernel.SignedSum(row, m.dtype, x)
	}
	return &backendpb.Probe{Tensor: m.name, Sha256: hash.Sum(nil), Product: product}, nil
}
