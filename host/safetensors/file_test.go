//go:build unix

package safetensors

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// writeFile puts a file with tensors a (F32, bytes 1 to 8) and b (U8, bytes 9 to 11) into a fresh directory.
func writeFile(t *testing.T) (path string, raw []byte) {
	t.Helper()
	raw = file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}`, 0)
	raw = append(raw, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	path = filepath.Join(t.TempDir(), "model.safetensors")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, raw
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if list := fault.All(err); len(list) != 1 || list[0].Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestOpenAndSnapshotGiveTheBytes(t *testing.T) {
	openers := map[string]func(string) (*File, error){
		"Open":     Open,
		"Snapshot": func(path string) (*File, error) { return Snapshot(path, DefaultLimits) },
	}
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			path, raw := writeFile(t)
			f, err := open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Name() != path || f.Size() != int64(len(raw)) {
				t.Errorf("name %q, size %d", f.Name(), f.Size())
			}
			for tensor, want := range map[string][]byte{"a": {1, 2, 3, 4, 5, 6, 7, 8}, "b": {9, 10, 11}} {
				x, _ := f.Tensor(tensor)
				got, err := f.Read(x)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("Read(%s) = %v, %v", tensor, got, err)
				}
				if view := f.Bytes(x); !bytes.Equal(view, want) || cap(view) != len(want) {
					t.Errorf("Bytes(%s) = %v of capacity %d", tensor, view, cap(view))
				}
				at := make([]byte, len(want))
				if _, err := f.ReadAt(at, x.Offset); err != nil || !bytes.Equal(at, want) {
					t.Errorf("ReadAt(%s) = %v, %v", tensor, at, err)
				}
			}
			wantSum := [32]byte{}
			if name == "Snapshot" {
				wantSum = sha256.Sum256(raw)
			}
			if f.SHA256() != wantSum {
				t.Errorf("SHA256 = %x, want %x", f.SHA256(), wantSum)
			}
			if runtime.GOOS == "linux" {
				if again, err := os.ReadFile(f.Path()); err != nil || !bytes.Equal(again, raw) {
					t.Errorf("Path %s gives other bytes: %v", f.Path(), err)
				}
			}
			if err := errors.Join(f.Close(), f.Close()); err != nil {
				t.Errorf("Close, twice: %v", err)
			}
			if x, _ := f.Tensor("a"); f.Bytes(x) != nil {
				t.Error("Bytes gave a view of a closed file")
			}
		})
	}
}

func TestReadOfAShrunkFile(t *testing.T) {
	path, raw := writeFile(t)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, int64(len(raw))-1); err != nil {
		t.Fatal(err)
	}
	x, _ := f.Tensor("b")
	_, err = f.Read(x)
	wantCode(t, err, fault.STChanged)
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	listener, err := net.Listen("unix", path("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	target, _ := writeFile(t)
	err = errors.Join(unix.Mkfifo(path("fifo"), 0o600), os.Mkdir(path("dir"), 0o700), os.Symlink(target, path("link")),
		os.Symlink("loop", path("loop")), os.Symlink("nowhere", path("dangling")), os.Symlink("fifo", path("link to fifo")),
		os.WriteFile(path("garbage"), []byte("garbage garbage"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name           string
		code, followed fault.Code // without and with following links
		cause          string
	}{
		{"missing", fault.IONotFound, fault.IONotFound, "no such file"},
		{"fifo", fault.IOFileType, fault.IOFileType, "FIFO"},
		{"dir", fault.IOFileType, fault.IOFileType, "directory"},
		{"socket", fault.IOFileType, fault.IOFileType, "socket"},
		{"/dev/null", fault.IOFileType, fault.IOFileType, "device"},
		{"link", fault.IOFileType, "", "symbolic link"},
		{"loop", fault.IOFileType, fault.IORead, "symbolic link"},
		{"dangling", fault.IOFileType, fault.IONotFound, "symbolic link"},
		{"link to fifo", fault.IOFileType, fault.IOFileType, "symbolic link"},
		{"garbage", fault.STHdrBig, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			at := path(test.name)
			if filepath.IsAbs(test.name) {
				at = test.name
			}
			for _, open := range []func(string) (*File, error){Open, func(p string) (*File, error) { return Snapshot(p, BaseLimits) }} {
				_, err := open(at)
				wantCode(t, err, test.code)
				if !strings.Contains(err.Error(), test.cause) || !strings.Contains(err.Error(), at) {
					t.Errorf("%v names no %q at %s", err, test.cause, at)
				}
			}
			f, err := reference.OpenRegular(at, true)
			if test.followed == "" {
				if err != nil {
					t.Fatal(err)
				}
				f.Close()
				return
			}
			wantCode(t, err, test.followed)
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	path, _ := writeFile(t)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	wantCode(t, err, fault.IORead)
}

// TestConcurrentReaders maps and reads one File from many goroutines.
func TestConcurrentReaders(t *testing.T) {
	path, _ := writeFile(t)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, _ := f.Tensor("a")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				if got, err := f.Read(x); err != nil || !bytes.Equal(f.Bytes(x), got) {
					t.Errorf("%v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestDescriptorsAreReturned opens good and bad files many times and counts what is left open.
func TestDescriptorsAreReturned(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc/self/fd is Linux")
	}
	path, raw := writeFile(t)
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, raw[:len(raw)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	for range 50 {
		for _, p := range []string{path, bad, filepath.Dir(path)} {
			if f, err := Open(p); err == nil {
				f.Close()
			}
			if f, err := Snapshot(p, DefaultLimits); err == nil {
				f.Close()
			}
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
