package cpu

import (
	"context"
	"crypto/sha256"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Verify looks at the resident bytes again: nothing it answers was kept from staging.
func (b *Backend) Verify(ctx context.Context, req *backendpb.VerifyRequest) (*backendpb.VerifyResponse, error) {
	b.mu.Lock()
	g := b.generations[string(req.Generation)]
	if g == nil {
		b.mu.Unlock()
		return nil, missing("generation %x is not staged", req.Generation)
	}
	g.acquire()
	b.mu.Unlock()
	defer g.release()

	response := &backendpb.VerifyResponse{Probes: make([]*backendpb.Probe, len(g.tensors))}
	err := inOrder(ctx, len(g.tensors), b.options.Workers,
		func(ctx context.Context, i int) (err error) {
			response.Probes[i], err = g.tensors[i].probe(ctx, req.Seed)
			return err
		},
		func(int) error { return nil })
	if err != nil {
		return nil, err
	}
	return response, nil
}

// probe hashes the tensor and multiplies it with its probe vector, columns ascending, in f64.
func (m *merged) probe(ctx context.Context, seed uint64) (*backendpb.Probe, error) {
	rows, cols := m.shape[0], m.shape[1]
	stride := cols * m.dtype.Size()
	x := backend.Probe(seed, m.name, cols)
	hash := sha256.New()
	row := make([]float64, cols)
	product := make([]float64, rows)
	for i := range product {
		if i%64 == 0 {
			if err := canceled(ctx); err != nil {
				return nil, err
			}
		}
		bytes := m.bytes[i*stride : (i+1)*stride]
		hash.Write(bytes)
		if err := tensor.ToF64(row, bytes, m.dtype); err != nil {
			return nil, invalid("tensor %q: %v", m.name, err)
		}
		sum := 0.0
		for j, w := range row {
			sum += w * float64(x[j]) // exact product: ±w
		}
		product[i] = sum
	}
	return &backendpb.Probe{Tensor: m.name, Sha256: hash.Sum(nil), Product: product}, nil
}
