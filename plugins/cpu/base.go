package cpu

import (
	"context"
	"crypto/sha256"
	"os"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// base is the resident base: its own bytes, never written again.
type base struct {
	digest   [sha256.Size]byte
	tensors  map[string]stored
	bytes    int64
	pristine *generation // the base as a generation of its own, which nothing was merged into
}

// stored is a tensor with its bytes.
type stored struct {
	extent
	bytes []byte
}

// LoadBase reads every tensor into memory and checks the digest of each file on the way. A base is loaded once: the same digest again answers
// at once, another one is refused, because a process that changes its base under generations made from it could not keep any promise about them.
func (b *Backend) LoadBase(ctx context.Context, req *backendpb.LoadBaseRequest) (*backendpb.LoadBaseResponse, error) {
	digest, err := parseDigest("base", req.Digest)
	if err != nil {
		return nil, err
	}
	if err := acquire(ctx, b.merging); err != nil {
		return nil, err
	}
	defer func() { <-b.merging }()
	if loaded := b.base.Load(); loaded != nil {
		if loaded.digest != digest {
			return nil, notNow("base %x is resident, and a backend holds one: start another for base %x", loaded.digest, digest)
		}
		return &backendpb.LoadBaseResponse{ResidentBytes: uint64(loaded.bytes)}, nil
	}
	loaded, err := b.readBase(ctx, digest, req)
	if err != nil {
		return nil, err
	}
	b.base.Store(loaded)
	return &backendpb.LoadBaseResponse{ResidentBytes: uint64(loaded.bytes)}, nil
}

func (b *Backend) readBase(ctx context.Context, digest [sha256.Size]byte, req *backendpb.LoadBaseRequest) (_ *base, err error) {
	open, err := openFiles(req.Files, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer open.close()
	extents := make([]extent, len(req.Tensors))
	offsets := make([]int64, len(req.Tensors))
	var room layout
	for i, t := range req.Tensors {
		if extents[i], err = parseExtent("base tensor", t, req.Files); err != nil {
			return nil, err
		}
		offsets[i] = room.add(extents[i].length)
	}
	if len(extents) == 0 {
		return nil, invalid("base %x has no tensors", digest)
	}
	if err := refuseOverlap(extents); err != nil {
		return nil, err
	}
	memory, err := b.allocate(room.size, "the base")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			memory.free()
		}
	}()
	loaded := &base{digest: digest, tensors: make(map[string]stored, len(extents)), bytes: room.size}
	parts := make([]part, len(extents))
	for i, e := range extents {
		if _, twice := loaded.tensors[e.name]; twice {
			return nil, invalid("base tensor %q comes twice", e.name)
		}
		bytes := memory.bytes[offsets[i]:][:e.length:e.length]
		loaded.tensors[e.name] = stored{extent: e, bytes: bytes}
		parts[i] = part{file: e.file, offset: e.offset, dst: bytes}
	}
	if err := open.read(ctx, parts, b.options.Workers); err != nil {
		return nil, err
	}
	loaded.pristine = newGeneration("")
	if req.Config != nil {
		if loaded.pristine.model, err = newModel(req.Config, loaded.tensors); err != nil {
			return nil, err
		}
	}
	return loaded, nil
}

func parseDigest(what string, digest []byte) ([sha256.Size]byte, error) {
	if len(digest) != sha256.Size {
		return [sha256.Size]byte{}, invalid("the digest of the %s has %d bytes instead of %d", what, len(digest), sha256.Size)
	}
	return [sha256.Size]byte(digest), nil
}
