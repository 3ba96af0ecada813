package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/crashpoint"
)

// The points of keeping an adapter at which a test ends the process.
var (
	pointAdapterWritten   = crashpoint.Define("registry.adapter.written")   // a file, not synced
	pointAdapterSynced    = crashpoint.Define("registry.adapter.synced")    // all files
	pointAdapterDescribed = crashpoint.Define("registry.adapter.described") // the manifest is there, the adapter is not
	pointAdapterRenamed   = crashpoint.Define("registry.adapter.renamed")
)

// File is one file of an adapter.
type File struct {
	Name   string // relative, with slashes
	Data   io.ReaderAt
	Size   int64
	SHA256 [32]byte
}

// KeepAdapter puts an adapter's files into the store under its digest. They are hashed while they are written; other bytes than promised are
// fault.DigestBad. When it returns without an error, they are on the disk in full. An adapter that is there already is read and compared; one
// that is damaged goes into quarantine, and these files take its place.
func (r *Registry) KeepAdapter(ctx context.Context, adapter [32]byte, files []File) error {
	manifest, err := manifestOf(adapter, files)
	if err != nil {
		return err
	}
	if kept, err := r.isKept(ctx, adapter, manifest); kept || err != nil {
		return err
	}
	name := hex.EncodeToString(adapter[:])
	work, err := os.MkdirTemp(r.path(incomingName), name[:12]+"-")
	if err != nil {
		return durable.Fault(r.path(incomingName), err)
	}
	defer os.RemoveAll(work)
	for _, file := range files {
		if err := r.writeFile(ctx, filepath.Join(work, filepath.FromSlash(file.Name)), file); err != nil {
			return err
		}
	}
	crashpoint.Here(pointAdapterSynced)

	r.publishing.Lock()
	defer r.publishing.Unlock()
	if kept, err := r.isKept(ctx, adapter, manifest); kept || err != nil { // somebody else was faster
		return err
	}
	out := r.path(adaptersName, name)
	if err := r.retire(ctx, out); err != nil {
		return err
	}
	if err := r.writeManifest(out+manifestSuffix, manifest); err != nil {
		return err
	}
	crashpoint.Here(pointAdapterDescribed)
	if err := r.disk.publish(work, out); err != nil {
		return err
	}
	crashpoint.Here(pointAdapterRenamed)
	return nil
}

// writeFile writes one file of an adapter and waits for the disk.
func (r *Registry) writeFile(ctx context.Context, path string, file File) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return durable.Fault(path, err)
	}
	return r.disk.create(path, func(w io.Writer) error {
		hash := sha256.New()
		source := &sourceReader{ctx: ctx, name: file.Name, from: io.NewSectionReader(file.Data, 0, file.Size)}
		n, err := io.Copy(io.MultiWriter(w, hash), source)
		if err != nil {
			return err
		}
		if found := hash.Sum(nil); n != file.Size || [32]byte(found) != file.SHA256 {
			return fault.New(fault.DigestBad, "it has %d bytes of digest %x, and %d bytes of digest %x were promised", n, found, file.Size, file.SHA256).
				In(file.Name).Fix("the file changed meanwhile: load the adapter again")
		}
		crashpoint.Here(pointAdapterWritten)
		return nil
	})
}

// sourceReader tells errors of reading apart from those of writing, and ends with a context.
type sourceReader struct {
	ctx  context.Context
	name string
	from io.Reader
}

func (s *sourceReader) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, fault.New(fault.Canceled, "it was given up").In(s.name).Wrap(err)
	}
	n, err := s.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fault.New(fault.IORead, "it cannot be read").In(s.name).Wrap(err)
	}
	return n, err
}

// isKept reports whether the store has an adapter, byte for byte, and the disk knows that it has.
func (r *Registry) isKept(ctx context.Context, adapter [32]byte, manifest []byte) (bool, error) {
	dir := r.path(adaptersName, hex.EncodeToString(adapter[:]))
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	found, err := readManifest(dir + manifestSuffix)
	if err != nil || string(found) != string(manifest) {
		return false, nil
	}
	err = checkAdapter(ctx, dir, manifest)
	if err != nil && ctx.Err() != nil {
		return false, err
	}
	if err != nil {
		return false, nil
	}
	if err := r.disk.syncDir(filepath.Dir(dir)); err != nil { // whoever put it there may have been killed before
		return false, err
	}
	return true, nil
}

// AdapterDir is the directory with an adapter's files; fault.RegMissing where there is none. Whoever opens it computes its digest again.
func (r *Registry) AdapterDir(adapter [32]byte) (string, error) {
	dir := r.path(adaptersName, hex.EncodeToString(adapter[:]))
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return "", fault.New(fault.RegMissing, "the store does not have adapter sha256:%x", adapter).In(dir).Wrap(err).
			Fix("load the adapter again from where it came from")
	}
	return dir, nil
}

// Discard moves an adapter whose bytes are not what they were into quarantine, for somebody to look at. One that is not there is none to move.
func (r *Registry) Discard(ctx context.Context, adapter [32]byte) error {
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Canceled, "it was given up before it began").Wrap(err)
	}
	r.publishing.Lock()
	defer r.publishing.Unlock()
	return r.retire(ctx, r.path(adaptersName, hex.EncodeToString(adapter[:])))
}

// retire moves a directory or file of the store, and its manifest, into quarantine.
func (r *Registry) retire(ctx context.Context, path string) error {
	moved, err := quarantine(r.dir, path)
	if err == nil && moved != "" {
		r.log.WarnContext(ctx, "bytes of the store are not what they were, and were put aside", "path", path, "quarantine", moved)
	}
	return err
}

// quarantine moves a path of the store, and its manifest, aside. It gives the new name, "" where there was nothing to move.
func quarantine(dir, path string) (string, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	place, err := os.MkdirTemp(filepath.Join(dir, quarantineName), filepath.Base(path)+"-")
	if err != nil {
		return "", durable.Fault(dir, err)
	}
	for _, name := range []string{path + manifestSuffix, path} { // an adapter without a manifest is repaired, the other way about is removed
		if err := os.Rename(name, filepath.Join(place, filepath.Base(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", durable.Fault(name, err)
		}
	}
	for _, parent := range []string{place, filepath.Dir(place), filepath.Dir(path)} {
		if err := durable.SyncDir(parent); err != nil {
			return "", err
		}
	}
	return place, nil
}

// local reports whether a file name stays in the directory that it is put into, and can be written as it is.
func local(name string) bool {
	return name != "" && filepath.IsLocal(name) && filepath.ToSlash(filepath.Clean(name)) == name && name != "." && !strings.ContainsRune(name, 0)
}
