// Command tenon-backend-example is a Tenon backend in few lines: it merges into memory and into files, entry by entry and exactly, and generates
// nothing. It is there to be read and copied; README.md says how.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func main() { backend.Serve(newExample()) }

// dtypes of weights, and of factors, that the merge rule is for.
var dtypes = []string{"BF16", "F16", "F32"}

// example does what its embedded server does not: that answers Generate and Compare with Unimplemented.
type example struct {
	backendpb.UnimplementedBackendServer

	turn sync.Mutex // held by whoever loads, stages or merges, for as long as that takes

	mu          sync.Mutex // guards what follows, and is never held for long
	base        []byte     // digest; nil before one is loaded
	tensors     map[string]*backendpb.Tensor
	stored      map[string][]byte // of the base: never written
	generations map[string]*generation
	aliases     map[string]*backendpb.Alias
}

// generation is complete and is not changed any more.
type generation struct {
	merged map[string][]byte
	events []*backendpb.MergeEvent
}

func newExample() *example {
	return &example{generations: map[string]*generation{}, aliases: map[string]*backendpb.Alias{}}
}

// Describe names no architecture: this backend generates no text.
func (e *example) Describe(context.Context, *backendpb.DescribeRequest) (*backendpb.DescribeResponse, error) {
	return &backendpb.DescribeResponse{Name: "example", Version: "1.0.0", Device: "one processor, one entry at a time", Dtypes: dtypes}, nil
}

// LoadBase reads all tensors of the base. A base, once loaded, stays.
func (e *example) LoadBase(_ context.Context, r *backendpb.LoadBaseRequest) (*backendpb.LoadBaseResponse, error) {
	e.turn.Lock()
	defer e.turn.Unlock()
	if len(r.Digest) != sha256.Size {
		return nil, invalid("a digest of %d bytes", len(r.Digest))
	}
	switch {
	case e.base == nil:
		if err := e.load(r); err != nil {
			return nil, err
		}
	case !bytes.Equal(e.base, r.Digest):
		return nil, notNow("base %x is resident", e.base)
	}
	resident := 0
	for _, stored := range e.stored {
		resident += len(stored)
	}
	return &backendpb.LoadBaseResponse{ResidentBytes: uint64(resident)}, nil
}

func (e *example) load(r *backendpb.LoadBaseRequest) error {
	open, err := openFiles(r.Files, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer open.close()
	tensors, stored := map[string]*backendpb.Tensor{}, map[string][]byte{}
	for _, t := range r.Tensors {
		if err := open.check(t); err != nil {
			return err
		}
		tensors[t.Name] = t
	}
	if len(r.Tensors) == 0 || len(tensors) < len(r.Tensors) {
		return invalid("no tensors, or two of one name")
	}
	if err := refuseOverlap(r.Tensors); err != nil {
		return err
	}
	for name, t := range tensors {
		if stored[name], err = open.read(t); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.base, e.tensors, e.stored = r.Digest, tensors, stored
	return nil
}

// Stage merges into memory. The generation is registered last, so an error leaves nothing behind.
func (e *example) Stage(r *backendpb.StageRequest, stream backendpb.Backend_StageServer) error {
	e.turn.Lock()
	defer e.turn.Unlock()
	if e.base == nil || !bytes.Equal(e.base, r.Base) {
		return notNow("base %x is resident, the generation is of %x", e.base, r.Base)
	}
	if len(r.Generation) != sha256.Size {
		return invalid("a generation named by %d bytes", len(r.Generation))
	}
	if g := e.generation(r.Generation); g != nil {
		for _, event := range g.events {
			if err := stream.Send(event); err != nil {
				return err
			}
		}
		return nil
	}
	open, err := openFiles(r.Files, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer open.close()
	if err := open.checkPatches(r.Patches, func(name string) *backendpb.Tensor { return e.tensors[name] }); err != nil {
		return err
	}
	g := &generation{merged: map[string][]byte{}}
	for _, p := range r.Patches {
		merged, event, err := open.merge(e.stored[p.Tensor], e.tensors[p.Tensor], p)
		if err == nil {
			err = stream.Send(event) // fails once the host has canceled
		}
		if err != nil {
			return err
		}
		g.merged[p.Tensor], g.events = merged, append(g.events, event)
	}
	if err := refuseOverflow(g.events); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.generations[string(r.Generation)] = g
	return nil
}

// merge reads the factors of a patch and merges it into a copy of the weight.
func (f *files) merge(stored []byte, weight *backendpb.Tensor, p *backendpb.Patch) ([]byte, *backendpb.MergeEvent, error) {
	a, err := f.factor(p.A)
	if err != nil {
		return nil, nil, err
	}
	b, err := f.factor(p.B)
	if err != nil {
		return nil, nil, err
	}
	merged, event := merge(stored, weight, p, a, b)
	return merged, event, nil
}

// refuseOverflow makes a merge fail at its end, when every tensor that overflows has been told of.
func refuseOverflow(events []*backendpb.MergeEvent) error {
	var names []string
	for _, event := range events {
		if event.NonFinite > 0 {
			names = append(names, event.Tensor)
		}
	}
	if len(names) > 0 {
		return status.Errorf(codes.OutOfRange, "merged entries overflow their dtype in %s", strings.Join(names, ", "))
	}
	return nil
}

func (e *example) generation(digest []byte) *generation {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.generations[string(digest)]
}

// Verify looks at the bytes again: nothing it answers was kept from staging.
func (e *example) Verify(_ context.Context, r *backendpb.VerifyRequest) (*backendpb.VerifyResponse, error) {
	g := e.generation(r.Generation)
	if g == nil {
		return nil, status.Errorf(codes.NotFound, "generation %x is not staged", r.Generation)
	}
	response := &backendpb.VerifyResponse{}
	for _, name := range slices.Sorted(maps.Keys(g.merged)) {
		t, sum := e.tensors[name], sha256.Sum256(g.merged[name])
		dtype, _ := tensor.ParseDType(t.Dtype)
		product := multiply(g.merged[name], dtype, backend.Probe(r.Seed, name, int(t.Shape[1])))
		response.Probes = append(response.Probes, &backendpb.Probe{Tensor: name, Sha256: sum[:], Product: product})
	}
	return response, nil
}

// Activate makes an alias mean a generation. The sequence of an alias only grows, so a message that comes late changes nothing.
func (e *example) Activate(_ context.Context, r *backendpb.ActivateRequest) (*backendpb.ActivateResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch last := e.aliases[r.Alias]; {
	case r.Alias == "":
		return nil, invalid("the alias \"\" is the base, for ever")
	case e.base == nil:
		return nil, notNow("no base is loaded")
	case len(r.Generation) > 0 && e.generations[string(r.Generation)] == nil:
		return nil, status.Errorf(codes.NotFound, "generation %x is not staged", r.Generation)
	case last != nil && (r.Sequence < last.Sequence || r.Sequence == last.Sequence && !bytes.Equal(r.Generation, last.Generation)):
		return nil, notNow("alias %q has seen sequence %d", r.Alias, last.Sequence)
	}
	e.aliases[r.Alias] = &backendpb.Alias{Alias: r.Alias, Generation: r.Generation, Sequence: r.Sequence}
	return &backendpb.ActivateResponse{}, nil
}

// Release forgets a generation that no alias means.
func (e *example) Release(_ context.Context, r *backendpb.ReleaseRequest) (*backendpb.ReleaseResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, alias := range e.aliases {
		if len(alias.Generation) > 0 && bytes.Equal(alias.Generation, r.Generation) {
			return nil, notNow("alias %q means generation %x", alias.Alias, r.Generation)
		}
	}
	existed := e.generations[string(r.Generation)] != nil
	delete(e.generations, string(r.Generation))
	return &backendpb.ReleaseResponse{Existed: existed}, nil
}

// Status is what is there, sorted.
func (e *example) Status(context.Context, *backendpb.StatusRequest) (*backendpb.StatusResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	response := &backendpb.StatusResponse{Base: e.base}
	for _, digest := range slices.Sorted(maps.Keys(e.generations)) {
		size := 0
		for _, merged := range e.generations[digest].merged {
			size += len(merged)
		}
		response.Generations = append(response.Generations, &backendpb.Generation{Generation: []byte(digest), Bytes: uint64(size)})
	}
	for _, name := range slices.Sorted(maps.Keys(e.aliases)) {
		response.Aliases = append(response.Aliases, e.aliases[name])
	}
	return response, nil
}
