package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

const (
	// manifestSuffix makes a manifest's name of an adapter's.
	manifestSuffix = ".json"
	// maxManifest bounds a manifest, in bytes.
	maxManifest = 16 << 20
)

// manifest is what the store knows of an adapter without reading it: enough to tell whether its bytes are what they were.
type manifest struct {
	Adapter digest         `json:"adapter"`
	Files   []manifestFile `json:"files"` // by name
}

type manifestFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 digest `json:"sha256"`
}

// manifestOf describes an adapter's files.
func manifestOf(adapter [32]byte, files []File) ([]byte, error) {
	m := manifest{Adapter: adapter}
	for _, f := range files {
		if !local(f.Name) || !utf8.ValidString(f.Name) || f.Size < 0 {
			return nil, fault.New(fault.BSPath, "%q is not the name of a file of an adapter", f.Name)
		}
		m.Files = append(m.Files, manifestFile{f.Name, f.Size, f.SHA256})
	}
	slices.SortFunc(m.Files, func(a, b manifestFile) int { return cmp.Compare(a.Name, b.Name) })
	for i := 1; i < len(m.Files); i++ {
		if m.Files[i].Name == m.Files[i-1].Name {
			return nil, fault.New(fault.BSPath, "%q is twice in the adapter", m.Files[i].Name)
		}
	}
	return json.Marshal(m)
}

// writeManifest writes a manifest over what is there, in one step.
func (r *Registry) writeManifest(path string, text []byte) error {
	return r.replace(path, text)
}

// replace writes a file aside and renames it to its place. Its directory is not synced.
func (r *Registry) replace(path string, text []byte) error {
	work, err := os.MkdirTemp(r.path(incomingName), "file-")
	if err != nil {
		return durable.Fault(path, err)
	}
	defer os.RemoveAll(work)
	aside := filepath.Join(work, filepath.Base(path))
	if err := r.disk.create(aside, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return err
	}
	if err := os.Rename(aside, path); err != nil {
		return durable.Fault(path, err)
	}
	return nil
}

func readManifest(path string) ([]byte, error) { return readRegular(path, maxManifest) }

// readRegular reads a file of the store of at most limit bytes. A link, device or directory in its place is an error, and not waited for.
func readRegular(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, err
}

func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("it is not a file")
	}
	return f, nil
}

// checkAdapter holds all bytes of an adapter in the store against its manifest. A file that the manifest does not name is an error too.
func checkAdapter(ctx context.Context, dir string, text []byte) error {
	var m manifest
	if err := json.Unmarshal(text, &m, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files++
		}
		return err
	})
	if err != nil {
		return err
	}
	if files != len(m.Files) {
		return fmt.Errorf("it has %d files, and the manifest names %d", files, len(m.Files))
	}
	for _, file := range m.Files {
		if !local(file.Name) {
			return fmt.Errorf("%q is not the name of a file of an adapter", file.Name)
		}
		if err := checkFile(ctx, filepath.Join(dir, filepath.FromSlash(file.Name)), file); err != nil {
			return err
		}
	}
	return nil
}

func checkFile(ctx context.Context, path string, want manifestFile) error {
	f, err := openRegular(path)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, &sourceReader{ctx: ctx, name: path, from: io.LimitReader(f, want.Size+1)})
	if err != nil {
		return err
	}
	if digest(hash.Sum(nil)) != want.SHA256 || n != want.Size {
		return fmt.Errorf("%s is not what it was", want.Name)
	}
	return nil
}

// isManifest reports whether a name in the folder of adapters is that of a manifest, and of which adapter.
func isManifest(name string) (adapter string, ok bool) {
	return strings.CutSuffix(name, manifestSuffix)
}
