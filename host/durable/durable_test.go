package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestPublish(t *testing.T) {
	dir := t.TempDir()
	work, out := filepath.Join(dir, "work"), filepath.Join(dir, "out")
	if err := os.MkdirAll(filepath.Join(work, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	fill := func(w io.Writer) error { _, err := io.WriteString(w, "text"); return err }
	if err := Create(filepath.Join(work, "inner", "file"), fill); err != nil {
		t.Fatal(err)
	}
	if err := Create(filepath.Join(work, "inner", "file"), fill); !errors.Is(err, os.ErrExist) {
		t.Errorf("writing over a file gives %v", err)
	}
	if err := Publish(work, out); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(out, "inner", "file")); err != nil || string(text) != "text" {
		t.Errorf("it holds %q, %v", text, err)
	}
	if err := os.MkdirAll(work, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Publish(work, out); len(fault.All(err)) != 1 || fault.All(err)[0].Code != fault.MergeExists {
		t.Errorf("over a directory that holds something: %v, want %s", err, fault.MergeExists)
	}
}

func TestFault(t *testing.T) {
	inner := fault.New(fault.ADRank, "r is 0")
	for _, c := range []struct {
		err  error
		want fault.Code
	}{
		{os.ErrPermission, fault.IOWrite},
		{fmt.Errorf("writing: %w", syscall.ENOSPC), fault.IOSpace},
		{inner, fault.ADRank},
	} {
		if got := fault.All(Fault("path", c.err))[0].Code; got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
}
