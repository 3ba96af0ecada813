package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/tenon-ml/tenon/host/fault"
)

// entry is one entry of a test's archive.
type entry struct {
	name string
	text string
	kind byte              // tar.TypeReg where 0
	pax  map[string]string // records before it
	link string
}

// archived writes a tar archive.
func archived(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Size: int64(len(e.text)), Mode: 0o644, PAXRecords: e.pax, Linkname: e.link}
		if e.kind != 0 {
			h.Typeflag = e.kind
		}
		if e.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: e.kind, PAXRecords: e.pax}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

// opened opens bytes as a bundle, keeping everything.
func opened(t testing.TB, data []byte, limits Limits) (*Bundle, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "b")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := Open("b", f, limits, func(string) bool { return true })
	if err == nil {
		t.Cleanup(b.Close)
	}
	return b, err
}

func TestOpen(t *testing.T) {
	plain := archived(t, entry{name: "./", kind: tar.TypeDir}, entry{name: "./d/", kind: tar.TypeDir}, entry{name: "./d/b", text: "two"}, entry{name: "a", text: "one"})
	long := strings.Repeat("n", 200)
	for _, c := range []struct {
		name  string
		data  []byte
		files map[string]string
	}{
		{"gzip", zipped(t, plain), map[string]string{"a": "one", "d/b": "two"}},
		{"zstd", zstandard(t, plain), map[string]string{"a": "one", "d/b": "two"}},
		{"two gzip members", append(zipped(t, plain[:1000]), zipped(t, plain[1000:])...), map[string]string{"a": "one", "d/b": "two"}},
		{"two zstd frames", append(zstandard(t, plain[:1000]), zstandard(t, plain[1000:])...), map[string]string{"a": "one", "d/b": "two"}},
		{"a frame to skip", append([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc"), zstandard(t, plain)...), map[string]string{"a": "one", "d/b": "two"}},
		{"long name", zipped(t, archived(t, entry{name: long, text: "x"})), map[string]string{long: "x"}},
		{"a commit of git", zipped(t, archived(t, entry{name: "g", kind: tar.TypeXGlobalHeader, pax: map[string]string{"comment": "0123"}},
			entry{name: "a", text: "x"})), map[string]string{"a": "x"}},
		{"one file", zstandard(t, []byte("not an archive")), map[string]string{"": "not an archive"}},
		{"one file of a block", zipped(t, bytes.Repeat([]byte("x"), 600)), map[string]string{"": strings.Repeat("x", 600)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := opened(t, c.data, DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			if !Is(c.data) || len(b.Files) != len(c.files) || b.Single != (len(c.files) == 1 && b.Files[0].Name == "") {
				t.Fatalf("%+v", b)
			}
			for _, f := range b.Files {
				text, err := io.ReadAll(io.NewSectionReader(f.Data, 0, f.Size+1))
				if want := c.files[f.Name]; err != nil || string(text) != want || f.Size != int64(len(want)) || f.SHA256 != sha256.Sum256([]byte(want)) {
					t.Errorf("%q: %q, %v", f.Name, text, err)
				}
			}
		})
	}
}

// TestIs holds that a file whose first bytes are a length is not taken for a compressed one.
func TestIs(t *testing.T) {
	for head, want := range map[string]bool{
		"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03": true, "\x1f\x8b\x08\x00\x00\x00\x00\x00{\"a": false, "\x28\xb5\x2f\xfd": true, "\x5f\x2a\x4d\x18": true,
		"\x40\x2a\x4d\x18": false, "": false, "PK\x03\x04": false, "\x1f\x8b": false,
	} {
		if got := Is([]byte(head)); got != want {
			t.Errorf("%q: %t", head, got)
		}
	}
}

// TestDiskFailure holds that a disk that fails is not taken for a damaged bundle.
func TestDiskFailure(t *testing.T) {
	for _, data := range [][]byte{zipped(t, archived(t, entry{name: "a", text: noise(1 << 16)})), zstandard(t, archived(t, entry{name: "a", text: noise(1 << 16)}))} {
		for _, at := range []int{0, 2, 100, len(data) / 2, len(data) - 1} {
			from := io.MultiReader(bytes.NewReader(data[:at]), iotest.ErrReader(syscall.EIO))
			_, err := read("b", from, DefaultLimits, func(string) bool { return true })
			e, ok := errors.AsType[*fault.Error](err)
			if !ok || e.Code != fault.IORead || !errors.Is(err, syscall.EIO) || e.Remedy == "" {
				t.Errorf("at byte %d: %v", at, err)
			}
		}
	}
}
