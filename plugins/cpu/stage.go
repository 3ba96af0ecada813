package cpu

import (
	"context"
	"crypto/sha256"
	"os"
	"strings"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Stage computes a generation, or answers with one that exists. Callers that ask for the same one wait for each other.
func (b *Backend) Stage(req *backendpb.StageRequest, stream backendpb.Backend_StageServer) error {
	ctx := stream.Context()
	digest, err := parseDigest("generation", req.Generation)
	if err != nil {
		return err
	}
	id := string(digest[:])
	loaded := b.base.Load()
	if loaded == nil {
		return notNow("no base is loaded")
	}
	if string(loaded.digest[:]) != string(req.Base) {
		return notNow("base %x is resident, the generation is of base %x", loaded.digest, req.Base)
	}
	existing, err := b.claim(ctx, id)
	if err != nil {
		return err
	}
	if existing != nil {
		defer existing.release()
		for _, event := range existing.events() {
			if err := stream.Send(event); err != nil {
				return err
			}
		}
		return nil
	}
	g, err := b.build(ctx, id, loaded, req, stream)
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.staging[id])
	delete(b.staging, id)
	if err != nil {
		return err
	}
	b.generations[id] = g
	return nil
}

// claim returns the generation, held, where it exists. Otherwise it returns nil, and the caller is the one who computes it and must settle
// b.staging.
func (b *Backend) claim(ctx context.Context, id string) (*generation, error) {
	for {
		b.mu.Lock()
		if g := b.generations[id]; g != nil {
			g.acquire() // cannot fail: being registered holds it
			b.mu.Unlock()
			return g, nil
		}
		other := b.staging[id]
		if other == nil {
			b.staging[id] = make(chan struct{})
			b.mu.Unlock()
			return nil, nil
		}
		b.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, canceled(ctx)
		}
	}
}

// build makes a generation complete, or frees what it made.
func (b *Backend) build(
	ctx context.Context, id string, loaded *base, req *backendpb.StageRequest, stream backendpb.Backend_StageServer,
) (_ *generation, err error) {
	if err := acquire(ctx, b.merging); err != nil {
		return nil, err
	}
	defer func() { <-b.merging }()

	g := newGeneration(id)
	defer func() {
		if err != nil {
			g.release()
		}
	}()
	patches, err := parsePatches(req, loaded)
	if err != nil {
		return nil, err
	}
	open, err := openFiles(req.Files, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer open.close()
	if req.Unmerged {
		if err := b.keepFactors(ctx, g, loaded, patches, open); err != nil {
			return nil, err
		}
		for _, event := range g.events() {
			if err := stream.Send(event); err != nil {
				return nil, err
			}
		}
		return g, canceled(ctx)
	}
	if err := b.mergeAll(ctx, g, loaded, patches, open, stream); err != nil {
		return nil, err
	}
	return g, canceled(ctx)
}

// mergeAll computes every tensor that differs from the base's, and sends an event as each is complete.
func (b *Backend) mergeAll(
	ctx context.Context, g *generation, loaded *base, patches []*patch, open *files, stream backendpb.Backend_StageServer,
) error {
	held, parts, err := b.heldParts(patches)
	if err != nil {
		return err
	}
	defer held.free()
	if err := open.read(ctx, parts, b.options.Workers); err != nil {
		return err
	}
	var room layout
	offsets, least := make([]int64, len(patches)), 0
	for i, p := range patches {
		offsets[i] = room.add(loaded.tensors[p.name].length)
		least = max(least, p.bufferRow(loaded.tensors[p.name].dtype, true))
	}
	ring, err := b.newRing(least, b.options.Workers)
	if err != nil {
		return err
	}
	defer ring.free()
	if g.memory, err = b.allocate(room.size, "the generation"); err != nil {
		return err
	}
	for i, p := range patches {
		weight := loaded.tensors[p.name]
		bytes := g.memory.bytes[offsets[i]:][:weight.length:weight.length]
		g.tensors = append(g.tensors, &merged{stored: stored{extent: weight.extent, bytes: bytes}})
	}
	var overflowed []string
	err = inOrder(ctx, len(patches), b.options.Workers,
		func(ctx context.Context, i int) error {
			buffer := ring.take()
			defer ring.give(buffer)
			return g.tensors[i].merge(ctx, loaded.tensors[patches[i].name].bytes, patches[i], open, buffer)
		},
		func(i int) error {
			if g.tensors[i].nonFinite > 0 {
				overflowed = append(overflowed, patches[i].name)
			}
			return stream.Send(g.tensors[i].event())
		})
	if err != nil {
		return err
	}
	if len(overflowed) > 0 {
		return tooFar("AD_OVERFLOW_ON_MERGE: merged entries overflow their dtype in %s", strings.Join(overflowed, ", "))
	}
	if loaded.pristine.model != nil {
		changed := make(map[string]stored, len(g.tensors))
		for _, m := range g.tensors {
			changed[m.name] = m.stored
		}
		g.model, err = loaded.pristine.model.with(changed)
	}
	return err
}

func parsePatches(req *backendpb.StageRequest, loaded *base) ([]*patch, error) {
	if len(req.Patches) == 0 {
		return nil, invalid("generation %x changes nothing", req.Generation)
	}
	seen := make(map[string]bool, len(req.Patches))
	patches := make([]*patch, len(req.Patches))
	for i, p := range req.Patches {
		weight, ok := loaded.tensors[p.GetTensor()]
		if !ok {
			return nil, invalid("tensor %q is not in the base", p.GetTensor())
		}
		if seen[p.Tensor] {
			return nil, invalid("tensor %q is patched twice", p.Tensor)
		}
		seen[p.Tensor] = true
		var err error
		if patches[i], err = parsePatch(p, weight.extent, req.Files); err != nil {
			return nil, err
		}
	}
	return patches, refusePartOverlap(patches)
}

// merge computes the tensor's bytes from the base's, block of rows by block of rows.
func (m *merged) merge(ctx context.Context, weight []byte, p *patch, inputs *files, buffer []byte) error {
	hash := sha256.New()
	s := &stream{patch: p, dtype: m.dtype, resident: weight, inputs: inputs, buffer: buffer}
	counts, err := s.merge(ctx, m.bytes, func(merged []byte, _ int64) error {
		hash.Write(merged)
		return nil
	})
	if err != nil {
		return err
	}
	m.changed, m.nonFinite = counts.Changed, counts.NonFinite
	hash.Sum(m.sum[:0])
	return nil
}

func (m *merged) event() *backendpb.MergeEvent {
	return &backendpb.MergeEvent{Tensor: m.name, Sha256: m.sum[:], Changed: m.changed, NonFinite: m.nonFinite}
}
