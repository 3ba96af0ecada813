package durable

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestCopyRange copies between two files and between two file systems, where there are two.
func TestCopyRange(t *testing.T) {
	text := make([]byte, copyStep+3*copyBuffer+17)
	for i := range text {
		text[i] = byte(i * i >> 7)
	}
	for _, dir := range []string{t.TempDir(), "/dev/shm"} {
		if _, err := os.Stat(dir); err != nil {
			t.Logf("%s is left out: %v", dir, err)
			continue
		}
		src, err := os.Create(filepath.Join(t.TempDir(), "source"))
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		if _, err := src.Write(text); err != nil {
			t.Fatal(err)
		}
		dst, err := os.CreateTemp(dir, "durable-test-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(dst.Name())
		defer dst.Close()
		for _, c := range []struct{ at, from, length int64 }{
			{0, 0, int64(len(text))}, {5, 3, 1000}, {1 << 20, 7, copyStep + 1}, {100, int64(len(text)) - 1, 1}, {9, 9, 0},
		} {
			if err := dst.Truncate(0); err != nil {
				t.Fatal(err)
			}
			if err := CopyRange(t.Context(), dst, c.at, src, c.from, c.length); err != nil {
				t.Fatalf("%+v into %s: %v", c, dir, err)
			}
			got := make([]byte, c.length)
			if _, err := dst.ReadAt(got, c.at); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, text[c.from:c.from+c.length]) {
				t.Errorf("%+v into %s: other bytes", c, dir)
			}
		}
		if err := CopyRange(t.Context(), dst, 0, src, 10, int64(len(text))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("past the end, into %s: %v", dir, err)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := CopyRange(canceled, dst, 0, src, 0, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
	}
}

// TestPlainCopy is what CopyRange does where the kernel does not copy.
func TestPlainCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(path, []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		from, length, want int64
		err                error
	}{{0, 4, 4, nil}, {0, 100, 8, nil}, {8, 100, 2, nil}, {10, 1, 0, io.ErrUnexpectedEOF}} {
		if n, err := plainCopy(f, 20, f, c.from, c.length, make([]byte, 8)); n != c.want || !errors.Is(err, c.err) {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
		if err := f.Truncate(10); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClone wants a clone, where one can be made, to be the file and to stay as it is when the file changes.
func TestClone(t *testing.T) {
	dir := t.TempDir()
	src, err := os.Create(filepath.Join(dir, "source"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.Create(filepath.Join(dir, "clone"))
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if _, err := src.WriteString("as it was"); err != nil {
		t.Fatal(err)
	}
	want := ""
	if Clone(dst, src) {
		want = "as it was"
	}
	if _, err := src.WriteAt([]byte("now"), 0); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dst.Name()); err != nil || string(got) != want {
		t.Errorf("the clone is %q (%v), want %q", got, err, want)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var files [2]*os.File
	for i := range files {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	for i, want := range []bool{true, false} {
		if got, err := Lock(files[i]); got != want || err != nil {
			t.Errorf("file %d: %v, %v", i, got, err)
		}
	}
	files[0].Close()
	if got, err := Lock(files[1]); !got || err != nil {
		t.Errorf("after it was given back: %v, %v", got, err)
	}
}
