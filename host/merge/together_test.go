package merge_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
)

// TestTwoRuns starts a merge while the same merge is running.
func TestTwoRuns(t *testing.T) {
	s := newSmall(t)
	p, other := s.plan(t), s.plan(t)
	client := newClient(t, p)
	out := filepath.Join(t.TempDir(), "merged")
	var second error
	write(t, p, &watcher{BackendClient: client, before: func(ctx context.Context) {
		_, second = other.Write(ctx, client, merge.Output{Gate: admitted, Dir: out})
	}}, out)
	if list := fault.All(second); len(list) != 1 || list[0].Code != fault.IOWrite || !strings.Contains(list[0].Cause, "another run") {
		t.Errorf("the second run: %v", second)
	}
	if _, err := other.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: out}); fault.ClassOf(err) != fault.Usage {
		t.Errorf("after the first: %v", err)
	}
}

// TestOutputMadeMeanwhile loses the race for the name of its output. Nothing is written over, and nothing is left that could not be used.
func TestOutputMadeMeanwhile(t *testing.T) {
	s := newSmall(t)
	p := s.plan(t)
	out := filepath.Join(t.TempDir(), "merged")
	racing := &watcher{BackendClient: newClient(t, p), before: func(context.Context) { put(t, filepath.Join(out, "file"), nil) }}
	_, err := p.Write(t.Context(), racing, merge.Output{Gate: admitted, Dir: out})
	if list := fault.All(err); len(list) != 1 || list[0].Code != fault.MergeExists {
		t.Errorf("%v, want %s", err, fault.MergeExists)
	}
	if names := left(t, filepath.Dir(out)); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

// TestOtherWork leaves work directories of several kinds beside the output. Only those that no run can end any more go.
func TestOtherWork(t *testing.T) {
	s := newSmall(t)
	p := s.plan(t)
	client := newClient(t, p)
	parent := t.TempDir()
	out := filepath.Join(parent, "merged")
	interrupt(t, p, client, out)
	binding, err := p.Adapter.Bind(p.Base)
	if err != nil {
		t.Fatal(err)
	}
	running, err := merge.NewPlan(binding, 3)
	if err != nil {
		t.Fatal(err)
	}
	release, stopped := make(chan struct{}), make(chan error)
	started := make(chan struct{})
	go func() {
		_, err := running.Write(context.WithoutCancel(t.Context()), &watcher{BackendClient: client, before: func(context.Context) {
			close(started)
			<-release
		}}, merge.Output{Gate: admitted, Dir: out})
		stopped <- err
	}()
	<-started
	keep := []string{
		".merged.tenon-0123456789abcdef", // not made by a merge: no lock
		".merged.tenon-0123456789ABCDEF", ".merged.tenon-01234567", ".other.tenon-0123456789abcdef",
	}
	for i, name := range keep {
		if err := os.Mkdir(filepath.Join(parent, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			put(t, filepath.Join(parent, name, "lock"), nil)
		}
	}
	if _, err := p.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: out, ShardBytes: 100}); err != nil {
		t.Fatal(err)
	}
	names := left(t, parent)
	if len(names) != len(keep)+2 { // the output, and the run that is on
		t.Errorf("left are %v", names)
	}
	for _, name := range keep {
		if !slices.Contains(names, name) {
			t.Errorf("%s is gone", name)
		}
	}
	close(release)
	if err := <-stopped; err == nil {
		t.Error("the other run wrote over what is there")
	}
	if _, err := merge.Verify(t.Context(), out); err != nil {
		t.Error(err)
	}
}

// TestForeignWork puts a directory of somebody else where the merge would be written.
func TestForeignWork(t *testing.T) {
	s := newSmall(t)
	p := s.plan(t)
	client := newClient(t, p)
	out := filepath.Join(t.TempDir(), "merged")
	work := interrupt(t, p, client, out)
	for _, c := range []struct {
		name string
		make func() error
	}{
		{"open to others", func() error { return os.Chmod(work, 0o755) }},
		{"a link", func() error {
			if err := os.Rename(work, work+"-away"); err != nil {
				return err
			}
			return os.Symlink(work+"-away", work)
		}},
		{"a file", func() error {
			if err := os.Remove(work); err != nil {
				return err
			}
			return os.WriteFile(work, nil, 0o600)
		}},
	} {
		if err := c.make(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: out}); fault.ClassOf(err) != fault.Operational {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := os.Lstat(out); err == nil {
			t.Errorf("%s: there is an output", c.name)
		}
	}
}

// TestChangedBase writes to the base while it is being merged.
func TestChangedBase(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string)
	}{
		{"a byte", func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "model-00001-of-00003.safetensors"), 900) }},
		{"a byte, its time set back", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "model-00002-of-00003.safetensors")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			flip(t, path, 900)
			if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}},
		{"cut off", func(t *testing.T, dir string) {
			os.Truncate(filepath.Join(dir, "model-00003-of-00003.safetensors"), 100)
		}},
		{"another README", func(t *testing.T, dir string) { put(t, filepath.Join(dir, "README.md"), []byte("A small model\n")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSmall(t)
			p := s.plan(t)
			client := newClient(t, p)
			time.Sleep(20 * time.Millisecond) // clocks of file systems tick slowly
			parent := t.TempDir()
			changing := &watcher{BackendClient: client, before: func(context.Context) { c.change(t, s.base) }}
			_, err := p.Write(t.Context(), changing, merge.Output{Gate: admitted, Dir: filepath.Join(parent, "merged")})
			if list := fault.All(err); len(list) == 0 || list[0].Code != fault.STChanged && list[0].Code != fault.MergeMismatch {
				t.Errorf("got %v", err)
			}
			if names := left(t, parent); len(names) != 0 {
				t.Errorf("left are %v", names)
			}
		})
	}
}
