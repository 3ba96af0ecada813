package adapter

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// packedEntry is an entry of a test's bundle.
type packedEntry struct {
	name string
	data []byte
	kind byte // tar.TypeReg where 0
	link string
}

// tarred writes a tar archive.
func tarred(t testing.TB, entries ...packedEntry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: int64(len(e.data)), Linkname: e.link, Mode: 0o644}
		if e.kind != 0 {
			h.Typeflag = e.kind
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstded(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

// arrivals makes the inputs of group C, by what the corpus calls them. Each returns the reference to open.
func arrivals(t *testing.T) map[string]func(*testing.T) string {
	config, weights := configFile(t, plainConfig()), weightsFile(t, plainTensors())
	whole := map[string][]byte{configName: config, weightsName: weights}
	file := func(name string, data []byte) func(*testing.T) string {
		return func(t *testing.T) string { return filepath.Join(folder(t, map[string][]byte{name: data}), name) }
	}
	bundled := func(entries ...packedEntry) func(*testing.T) string {
		return file("in.tar.gz", gzipped(t, tarred(t, entries...)))
	}
	named := func(name string) func(*testing.T) string { return bundled(packedEntry{name: name, data: []byte("x")}) }
	of := func(kind byte) func(*testing.T) string {
		return bundled(packedEntry{name: weightsName, kind: kind, link: "../../etc/passwd"})
	}
	directory := func(files map[string][]byte, change func(dir string) error) func(*testing.T) string {
		return func(t *testing.T) string {
			dir := shortFolder(t, files)
			if change != nil {
				if err := change(dir); err != nil {
					t.Skip(err)
				}
			}
			return dir
		}
	}
	// unreadable takes a permission away, which root does not need.
	unreadable := func(name string) func(*testing.T) string {
		return func(t *testing.T) string {
			if os.Getuid() == 0 {
				t.Skip("root may read everything")
			}
			dir := shortFolder(t, whole)
			path := filepath.Join(dir, name)
			if err := os.Chmod(path, 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
			return dir
		}
	}
	only := map[string][]byte{configName: config}
	beside := func(name string) map[string][]byte {
		return map[string][]byte{configName: config, weightsName: weights, name: []byte("x")}
	}
	one := packedEntry{name: configName, data: config}
	two := packedEntry{name: weightsName, data: weights}
	many := make([]packedEntry, 2000)
	for i := range many {
		many[i] = packedEntry{name: fmt.Sprintf("d%d/", i), kind: tar.TypeDir}
	}
	sparse := tarred(t, one)
	sparse[156] = tar.TypeGNUSparse
	cut := tarred(t, one)[:700]
	zip, seven := []byte("PK\x03\x04"+strings.Repeat("\x00", 40)), []byte("7z\xbc\xaf\x27\x1c"+strings.Repeat("\x00", 40))
	pickled := []byte("\x80\x02}q\x00(X\x01\x00\x00\x00wK\x01u.")

	return map[string]func(*testing.T) string{
		"bundle with a member ../../etc/x":                 named("../../etc/x"),
		"bundle with a member /abs":                        named("/abs"),
		`bundle with a member C:\x`:                        named(`C:\x`),
		"bundle with a member a/../../b":                   named("a/../../b"),
		"bundle with a member .":                           named("."),
		"bundle with a member of 4096 characters":          named(strings.Repeat("a", 4096)),
		"bundle with a hard link":                          of(tar.TypeLink),
		"bundle with a symbolic link":                      of(tar.TypeSymlink),
		"bundle with a FIFO":                               of(tar.TypeFifo),
		"bundle with a device":                             of(tar.TypeChar),
		"bundle with the same name twice":                  bundled(one, two, two),
		"bundle of 2000 entries":                           bundled(many...),
		"bundle with a sparse file":                        file("in.tar.gz", gzipped(t, sparse)),
		"bundle with a bomb that is no adapter's file":     bundled(packedEntry{name: "notes", data: make([]byte, 16<<20)}, one, two),
		"bundle whose last member is shorter than it says": file("in.tar.gz", gzipped(t, cut)),
		"bundle in two archives":                           file("in.tar.gz", append(gzipped(t, tarred(t, one, two)), gzipped(t, tarred(t, one, two))...)),
		"bundle with garbage after it":                     file("in.tar.gz", append(gzipped(t, tarred(t, one, two)), "garbage garbage"...)),
		"bundle of two adapters":                           bundled(packedEntry{name: "a/" + configName, data: config}, packedEntry{name: "b/" + configName, data: config}),
		"bundle with names that differ in case":            bundled(one, two, packedEntry{name: strings.ToUpper(weightsName), data: weights}),
		"bundle with NFC and NFD names":                    bundled(one, two, packedEntry{name: "\u00e9"}, packedEntry{name: "e\u0301"}),
		"bundle of no adapter":                             bundled(packedEntry{name: "notes", data: []byte("x")}),
		"gzip of zeros":                                    file("in.gz", gzipped(t, make([]byte, 16<<20))),
		"zstd of zeros":                                    file("in.zst", zstded(t, make([]byte, 16<<20))),
		// A frame whose descriptor asks for 2^31 bytes, and one empty last block.
		"zstd that asks for a window of 2 GiB": file("in.zst", []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00")),

		"weights that link to /etc/shadow": directory(only, func(dir string) error { return os.Symlink("/etc/shadow", filepath.Join(dir, weightsName)) }),
		"weights that link to themselves":  directory(only, func(dir string) error { return os.Symlink(weightsName, filepath.Join(dir, weightsName)) }),
		"a configuration that links out": directory(map[string][]byte{weightsName: weights}, func(dir string) error {
			return os.Symlink("../"+configName, filepath.Join(dir, configName))
		}),
		"weights that are a FIFO":      directory(only, func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, weightsName), 0o600) }),
		"weights that are a directory": directory(only, func(dir string) error { return os.Mkdir(filepath.Join(dir, weightsName), 0o700) }),
		"weights that are a socket": directory(only, func(dir string) error {
			listener, err := net.Listen("unix", filepath.Join(dir, weightsName))
			if err == nil {
				t.Cleanup(func() { listener.Close() })
			}
			return err
		}),
		"a FIFO for an adapter": func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "in")
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Skip(err)
			}
			return path
		},
		"a device for an adapter": func(*testing.T) string { return "/dev/null" },

		"zip":                       file("in.zip", zip),
		"7z":                        file("in.7z", seven),
		"tar without a compression": file("in.tar", tarred(t, one, two)),
		"xz":                        file("in.tar.xz", []byte("\xfd7zXZ\x00 and more")),
		"zip under zstd":            file("in.zst", zstded(t, zip)),

		"two weights that differ in case": directory(map[string][]byte{configName: config, weightsName: weights, "Adapter_Model.safetensors": weights}, nil),
		"unreadable weights":              unreadable(weightsName),
		"a directory without permission":  unreadable("."),
		"a file whose bytes the disk does not give": func(t *testing.T) string {
			if _, err := os.Stat("/proc/self/mem"); err != nil {
				t.Skip(err)
			}
			return "/proc/self/mem" // nothing is mapped at its beginning
		},

		".bin in a directory":         directory(map[string][]byte{configName: config, "adapter_model.bin": zip}, nil),
		".bin":                        file("in.bin", zip),
		".pt":                         file("in.pt", zip),
		".pth":                        file("in.pth", pickled),
		".ckpt":                       file("in.ckpt", pickled),
		".pkl":                        file("in.pkl", pickled),
		"a pickle under another name": file("in.dat", pickled),
		"a pickle with a name that a shell would run": file("$(x).bin", zip),
		"a pickle in a bundle":                        bundled(packedEntry{name: "d/adapter_model.bin", data: zip}),
		"a pickle in a 7z":                            file("in.bin", seven),
		"a pickle for weights":                        directory(map[string][]byte{configName: config, weightsName: pickled}, nil),
		"a pickle beside the weights":                 directory(beside("optimizer.pt"), nil),
		"code beside the weights":                     directory(beside("modeling.py"), nil),
		"code beside the weights, in a bundle":        bundled(one, two, packedEntry{name: "modeling.py", data: []byte("pass")}),

		"no weights":                      directory(only, nil),
		"two weights":                     directory(map[string][]byte{configName: config, weightsName: weights, "adapter_model-2.safetensors": weights}, nil),
		"weights without a configuration": file(weightsName, weights),
		"a path that is not there":        func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") },
		"an empty directory":              directory(nil, nil),
		"an empty file":                   file("in.safetensors", nil),
	}
}

// shortFolder writes files into a directory of a short path that ends in "in": a socket's may have 108 bytes.
func shortFolder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	dir := filepath.Join(parent, "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
