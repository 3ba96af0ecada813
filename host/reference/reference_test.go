//go:build unix

package reference

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

var thing = Subject{Name: "thing", Mark: "thing.json", Entries: 8, File: func(path string, head []byte) error {
	return fault.New(fault.STWrongType, "it begins with %q", head).In(path).Fix("give a directory")
}}

// tree writes files and, for contents that begin with "->", links.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if target, link := strings.CutPrefix(content, "->"); link {
			err = errors.Join(err, os.Symlink(target, path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(content), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func opened(t *testing.T, ref string) *Directory {
	t.Helper()
	d, err := Open(ref, thing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// wantFault fails unless err is one fault of this code, with a place, a remedy and the text.
func wantFault(t *testing.T, err error, code fault.Code, says string) {
	t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Code != code || e.Remedy == "" || e.File == "" && code != fault.UsageFlag || !strings.Contains(e.Error(), says) {
		t.Errorf("got %v, want %s with %q", err, code, says)
	}
}

func TestOpen(t *testing.T) {
	dir := tree(t, map[string]string{"thing.json": "{}", "b": "", "link": "->."})
	for _, ref := range []string{dir, dir + "/", dir + "/link", "file://" + dir, "FILE://localhost" + dir} {
		d := opened(t, ref)
		if real, _ := filepath.EvalSymlinks(dir); d.Real != real || !d.Has("b") || d.Has("c") || !d.Holds("link/b") || len(d.Entries) != 3 {
			t.Errorf("%s: %+v", ref, d)
		}
	}
	many := map[string]string{}
	for _, c := range "abcdefghi" {
		many[string(c)] = ""
	}
	for _, c := range []struct {
		ref  string
		code fault.Code
		says string
	}{
		{"hf://org/name", fault.UsageFlag, "hf:// references are not read (download the thing"},
		{"OCI://host/name:1", fault.UsageFlag, "oci://"},
		{"http://host/name", fault.UsageFlag, "http://"},
		{"https://host/name", fault.UsageFlag, "https://"},
		{"file://host/name", fault.UsageFlag, "local directory"},
		{"file://user@/name", fault.UsageFlag, "local directory"},
		{"file:///name?x", fault.UsageFlag, "local directory"},
		{"file:///a%00b", fault.UsageFlag, "no path"},
		{"file://", fault.UsageFlag, "no path"},
		{"", fault.UsageFlag, "no path"},
		{filepath.Join(dir, "no"), fault.IONotFound, "path of the thing"},
		{filepath.Join(dir, "b", "c"), fault.IORead, ""},
		{filepath.Join(dir, "thing.json"), fault.STWrongType, "{}"},
		{"/dev/null", fault.IOFileType, "a device"},
		{tree(t, many), fault.IONotFound, "more than 8 entries"},
	} {
		t.Run(c.ref, func(t *testing.T) {
			_, err := Open(c.ref, thing)
			wantFault(t, err, c.code, c.says)
		})
	}
}

func TestDirectoryOpen(t *testing.T) {
	hash := strings.Repeat("0123456789abcdef", 4)
	dir := filepath.Join(tree(t, map[string]string{
		"m/blobs/" + hash:                       "blob",
		"m/blobs/" + hash[:40]:                  "->../refs/main",
		"m/refs/main":                           "secret",
		"m/snapshots/def/file":                  "secret",
		"m/snapshots/abc/file":                  "text",
		"m/snapshots/abc/in/file":               "->../file",
		"m/snapshots/abc/in/to blob":            "->../../../blobs/" + hash,
		"m/snapshots/abc/inside":                "->in/file",
		"m/snapshots/abc/to blob":               "->../../blobs/" + hash,
		"m/snapshots/abc/to bad blob":           "->../../blobs/" + hash[:40],
		"m/snapshots/abc/to no blob":            "->../../blobs/" + strings.Repeat("f", 64),
		"m/snapshots/abc/to a name":             "->../../blobs/main",
		"m/snapshots/abc/by another way":        "->../../blobs/../blobs/" + hash,
		"m/snapshots/abc/to refs":               "->../../refs/main",
		"m/snapshots/abc/to a link that leaves": "->in/to blob",
		"m/snapshots/abc/through a folder":      "->folder/file",
		"m/snapshots/abc/folder":                "->../def",
		"m/snapshots/abc/loop":                  "->loop",
		"m/snapshots/abc/absolute":              "->/etc/hostname",
	}), "m", "snapshots", "abc")
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("fifo", filepath.Join(dir, "to fifo")); err != nil {
		t.Fatal(err)
	}
	roomy := thing
	roomy.Entries = 100
	d, err := Open(dir, roomy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if !d.IsFolder("in") || d.IsFolder("folder") || d.IsFolder("file") {
		t.Error("folders are not told from links and files")
	}
	for name, want := range map[string]string{"file": "text", "inside": "text", "to blob": "blob"} {
		t.Run(name, func(t *testing.T) {
			f, err := d.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if text, err := io.ReadAll(f); err != nil || string(text) != want {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	for _, name := range []string{"to bad blob", "to no blob", "to a name", "by another way", "to refs", "to a link that leaves",
		"through a folder", "loop", "absolute", "fifo", "to fifo", "in"} {
		t.Run(name, func(t *testing.T) {
			_, err := d.Open(name)
			wantFault(t, err, fault.IOFileType, filepath.Join(dir, name))
		})
	}
	_, err = d.Open("none")
	wantFault(t, err, fault.IONotFound, "directory of the thing")
	t.Run("subfolder of a snapshot", func(t *testing.T) {
		f, err := opened(t, filepath.Join(dir, "in")).Open("to blob")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	})
}

// TestSwappedLink exchanges a file for a link out of the directory while it is opened: what opens is always the directory's own.
func TestSwappedLink(t *testing.T) {
	dir := tree(t, map[string]string{"d/file": "text", "secret": "secret"})
	file := filepath.Join(dir, "d", "file")
	d := opened(t, filepath.Join(dir, "d"))
	var swapping sync.WaitGroup
	stop := make(chan struct{})
	swapping.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			next := file + ".next"
			err := os.WriteFile(next, []byte("text"), 0o600)
			if i%2 == 0 {
				os.Remove(next)
				err = os.Symlink("../secret", next)
			}
			if err := errors.Join(err, os.Rename(next, file)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 2000 {
		f, err := d.Open("file")
		if err != nil {
			continue
		}
		if text, err := io.ReadAll(f); err != nil || string(text) != "text" {
			t.Errorf("%q, %v", text, err)
		}
		f.Close()
	}
	close(stop)
	swapping.Wait()
}
