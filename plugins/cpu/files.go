package cpu

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// readBytes is the size of one read: large enough for a device's full speed, small enough to stay in the cache until it is hashed.
const readBytes = 1 << 20

// files are the open files of one request, in its order.
type files struct {
	open   []*os.File
	claims []*backendpb.File
}

// openFiles opens every file and checks that it is a regular one of the promised size; one that is written to may be longer. A path may be a
// /proc/…/fd link, so links are followed.
func openFiles(claims []*backendpb.File, flag int) (*files, error) {
	f := &files{claims: claims}
	for i, claim := range claims {
		if claim == nil || claim.Path == "" || claim.Size < 0 || (len(claim.Sha256) != 0 && len(claim.Sha256) != sha256.Size) {
			f.close()
			return nil, invalid("file %d: path %q, %d bytes, a digest of %d bytes", i, claim.GetPath(), claim.GetSize(), len(claim.GetSha256()))
		}
		// Without O_NONBLOCK opening a FIFO would wait for its writer.
		file, err := os.OpenFile(claim.Path, flag|syscall.O_NONBLOCK, 0)
		if err != nil {
			f.close()
			if errors.Is(err, fs.ErrNotExist) {
				return nil, missing("%v", err)
			}
			return nil, notNow("%v", err)
		}
		f.open = append(f.open, file)
		info, err := file.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = invalid("%q is no regular file", claim.Path)
		} else if err == nil && (info.Size() < claim.Size || info.Size() > claim.Size && flag == os.O_RDONLY) {
			err = status.Errorf(codes.DataLoss, "DIGEST: %q has %d bytes, promised were %d", claim.Path, info.Size(), claim.Size)
		}
		if err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

func (f *files) close() {
	for _, file := range f.open {
		_ = file.Close()
	}
}

// part is a range of a file that is wanted in memory.
type part struct {
	file   int
	offset int64
	dst    []byte
}

// read fills the parts, and reads each file that carries a digest to its end to check it. Parts of one file do not overlap, but may be equal
// in place. What was read is the caller's to forget when it fails.
func (f *files) read(ctx context.Context, parts []part, workers int) error {
	byFile := make([][]part, len(f.open))
	for _, p := range parts {
		byFile[p.file] = append(byFile[p.file], p)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range f.open {
		group.Go(func() error { return f.readOne(ctx, i, byFile[i]) })
	}
	return group.Wait()
}

func (f *files) readOne(ctx context.Context, index int, parts []part) error {
	claim := f.claims[index]
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.offset, b.offset) })
	hash := sha256.New()
	checked := len(claim.Sha256) != 0
	var scratch []byte
	at := int64(0)
	// walk reads [at, to) into dst, or into scratch where nobody wants the bytes but the digest.
	walk := func(to int64, dst []byte) error {
		for at < to {
			if err := canceled(ctx); err != nil {
				return err
			}
			n := min(to-at, readBytes)
			chunk := dst
			if dst == nil {
				if scratch == nil {
					scratch = make([]byte, readBytes)
				}
				chunk = scratch
			}
			chunk = chunk[:n]
			if _, err := f.open[index].ReadAt(chunk, at); err != nil {
				return status.Errorf(codes.DataLoss, "%q at byte %d: %v", claim.Path, at, err)
			}
			if checked {
				hash.Write(chunk)
			}
			if dst != nil {
				dst = dst[n:]
			}
			at += n
		}
		return nil
	}
	for i, p := range parts {
		if i > 0 && p.offset == parts[i-1].offset && len(p.dst) == len(parts[i-1].dst) {
			copy(p.dst, parts[i-1].dst)
			continue
		}
		if checked {
			if err := walk(p.offset, nil); err != nil {
				return err
			}
		}
		at = p.offset
		if err := walk(p.offset+int64(len(p.dst)), p.dst); err != nil {
			return err
		}
	}
	if !checked {
		return nil
	}
	if err := walk(claim.Size, nil); err != nil {
		return err
	}
	if sum := hash.Sum(nil); !slices.Equal(sum, claim.Sha256) {
		return status.Errorf(codes.DataLoss, "DIGEST: the bytes of %q have SHA-256 %x, promised was %x", claim.Path, sum, claim.Sha256)
	}
	return nil
}
