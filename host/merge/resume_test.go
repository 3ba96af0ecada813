package merge_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// interrupt runs a merge into out up to its receipt, which cannot be written, and returns the work directory that it keeps, with every tensor
// in it finished.
func interrupt(t *testing.T, p *merge.Plan, client backendpb.BackendClient, out string) (work string) {
	t.Helper()
	var inTheWay string
	blocked := &watcher{BackendClient: client, before: func(context.Context) {
		model, err := filepath.Glob(filepath.Join(filepath.Dir(out), "."+filepath.Base(out)+".tenon-*", "model"))
		if err != nil || len(model) != 1 {
			t.Errorf("the merge is written in %v, %v", model, err)
			return
		}
		inTheWay = filepath.Join(model[0], merge.ReceiptName)
		put(t, filepath.Join(inTheWay, "file"), nil)
	}}
	_, err := p.Write(t.Context(), blocked, merge.Output{Gate: admitted, Dir: out})
	kept, ok := errors.AsType[*merge.Interrupted](err)
	if !ok || kept.Kept != kept.Total {
		t.Fatalf("got %v, want everything kept", err)
	}
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	return kept.Dir
}

// write merges into a new directory and returns its files, which must verify and be all there is.
func write(t *testing.T, p *merge.Plan, client backendpb.BackendClient, out string) map[string]string {
	t.Helper()
	if _, err := p.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: out}); err != nil {
		t.Fatal(err)
	}
	if _, err := merge.Verify(t.Context(), out); err != nil {
		t.Error(err)
	}
	if names := left(t, filepath.Dir(out)); len(names) != 1 {
		t.Errorf("beside the output lies %v", names)
	}
	return contents(t, out)
}

// TestResume takes up a merge after every prefix of its journal, with torn and foreign lines behind it, and with everything damaged that the
// journal does not hold: the result is always that of one run, and nothing finished is merged again.
func TestResume(t *testing.T) {
	s := newSmall(t)
	p := s.plan(t)
	client := newClient(t, p)
	want := write(t, p, client, filepath.Join(t.TempDir(), "merged"))
	parent := t.TempDir()
	out := filepath.Join(parent, "merged")
	work := interrupt(t, p, client, out)
	journal, err := os.ReadFile(filepath.Join(work, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(work)); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(journal, []byte("\n"))
	lines = lines[:len(lines)-1] // after the last newline comes nothing
	for keep := 0; keep <= len(lines); keep++ {
		for _, c := range []struct {
			name, tail string
		}{
			{"ends there", ""}, {"torn", "0123456789abcdef0123456"}, {"torn at its newline", strings.TrimSuffix(string(lines[len(lines)-1]), "\n")},
			{"garbage", "what is this\n" + string(lines[len(lines)-1])},
		} {
			if err := os.RemoveAll(work); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(work, os.DirFS(backup)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(work, 0o700); err != nil {
				t.Fatal(err)
			}
			prefix := string(bytes.Join(lines[:keep], nil))
			put(t, filepath.Join(work, "journal"), []byte(prefix+c.tail))
			for _, item := range p.Items {
				if !strings.Contains(prefix, item.Name) {
					flip(t, filepath.Join(work, "model", p.Base.Shards[item.Base.File].Name), item.Base.Offset+3)
				}
			}
			watching := &watcher{BackendClient: client}
			wantSame(t, write(t, p, watching, out), want)
			for _, item := range p.Items {
				finished := strings.Contains(prefix, item.Name)
				if asked := slices.Contains(watching.asked, item.Name); asked == finished {
					t.Errorf("%d lines, %s: %s finished %v, merged again %v", keep, c.name, item.Name, finished, asked)
				}
			}
			if err := os.RemoveAll(out); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestResumeDistrusts damages a finished tensor and a header behind the journal's back.
func TestResumeDistrusts(t *testing.T) {
	s := newSmall(t)
	p := s.plan(t)
	client := newClient(t, p)
	want := write(t, p, client, filepath.Join(t.TempDir(), "merged"))
	merged, copied := p.Items[2].Base, p.Base.Shards[0].Tensors[0]
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, work string)
		again  int // tensors merged again
	}{
		{"nothing", func(*testing.T, string) {}, 0},
		{"a merged tensor", func(t *testing.T, work string) {
			flip(t, filepath.Join(work, "model", p.Base.Shards[merged.File].Name), merged.Offset+merged.Length-1)
		}, 1},
		{"a copied tensor", func(t *testing.T, work string) {
			flip(t, filepath.Join(work, "model", p.Base.Shards[0].Name), copied.Offset)
		}, 0},
		{"a merged tensor, with its digest", func(t *testing.T, work string) { forge(t, p, work, merged.Ref) }, 1},
		{"a copied tensor, with its digest", func(t *testing.T, work string) { forge(t, p, work, copied.Ref) }, 0},
		{"a link to the base", func(t *testing.T, work string) {
			path := filepath.Join(work, "model", p.Base.Shards[1].Name)
			if err := errors.Join(os.Remove(path), os.Symlink(p.Base.Shards[1].File.Name(), path)); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: filepath.Join(filepath.Dir(work), "merged")}); err == nil {
				t.Error("it was written through")
			}
			os.Remove(path)
		}, 3},
		{"a file of somebody else", func(t *testing.T, work string) { put(t, filepath.Join(work, "model", "LICENSE"), []byte("mine")) }, 0},
		{"a header", func(t *testing.T, work string) { flip(t, filepath.Join(work, "model", p.Base.Shards[1].Name), 30) }, 0},
		{"a shard that is gone", func(t *testing.T, work string) { os.Remove(filepath.Join(work, "model", p.Base.Shards[1].Name)) }, 3},
		{"a shard that is cut off", func(t *testing.T, work string) { os.Truncate(filepath.Join(work, "model", p.Base.Shards[1].Name), 400) }, 3},
		{"a shard that is longer", func(t *testing.T, work string) {
			os.Truncate(filepath.Join(work, "model", p.Base.Shards[1].Name), 40000)
		}, 0},
		{"another merge's journal", func(t *testing.T, work string) { flip(t, filepath.Join(work, "journal"), 20) }, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "merged")
			c.damage(t, interrupt(t, p, client, out))
			watching := &watcher{BackendClient: client}
			wantSame(t, write(t, p, watching, out), want)
			if len(watching.asked) != c.again {
				t.Errorf("%v were merged again, want %d", watching.asked, c.again)
			}
		})
	}
}

// forge damages a finished tensor and makes the journal say so.
func forge(t *testing.T, p *merge.Plan, work string, ref tensor.Ref) {
	t.Helper()
	path := filepath.Join(work, "model", p.Base.Shards[ref.File].Name)
	flip(t, path, ref.Offset)
	shard, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	journal, err := os.ReadFile(filepath.Join(work, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(journal), "\n")
	for i, line := range lines {
		if strings.HasSuffix(line, strconv.Quote(ref.Name)+"\n") {
			lines[i] = fmt.Sprintf("%x%s", sha256.Sum256(shard[ref.Offset:ref.Offset+ref.Length]), line[64:])
		}
	}
	put(t, filepath.Join(work, "journal"), []byte(strings.Join(lines, "")))
}

// TestInterrupted ends merges in the ways that a second run can mend, and in those that it cannot.
func TestInterrupted(t *testing.T) {
	s := newSmall(t)
	p := s.plan(t)
	client := newClient(t, p)
	want := write(t, p, client, filepath.Join(t.TempDir(), "merged"))
	full := status.Error(codes.ResourceExhausted, "no space left on device")
	for _, c := range []struct {
		name  string
		watch func(cancel func(), work string) *watcher
		kept  bool
		code  fault.Code // "" where the error is not Tenon's own
	}{
		{"a full disk", func(_ func(), work string) *watcher {
			return &watcher{event: func(n int) error {
				if n < 3 {
					return nil
				}
				waitForJournal(work)
				return full
			}}
		}, true, ""},
		{"canceled", func(cancel func(), work string) *watcher {
			return &watcher{event: func(n int) error {
				if n == 3 {
					waitForJournal(work)
					cancel()
				}
				return nil
			}}
		}, true, ""},
		{"another digest", func(_ func(), work string) *watcher {
			return &watcher{change: func(e *backendpb.MergeEvent) { waitForJournal(work); e.Sha256 = make([]byte, 32) }}
		}, false, fault.MergeMismatch},
		{"overflow", func(_ func(), work string) *watcher {
			return &watcher{change: func(e *backendpb.MergeEvent) { waitForJournal(work); e.NonFinite = 1 }}
		}, false, fault.ADOverflowOnMerge},
		{"another count", func(_ func(), work string) *watcher {
			return &watcher{change: func(e *backendpb.MergeEvent) { e.Changed = 0 }}
		}, false, fault.MergeMismatch},
		{"a negative count", func(_ func(), work string) *watcher {
			return &watcher{change: func(e *backendpb.MergeEvent) { e.NonFinite = -1 }}
		}, false, fault.MergeMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			out := filepath.Join(parent, "merged")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := c.watch(cancel, parent)
			w.BackendClient = client
			_, err := p.Write(ctx, w, merge.Output{Gate: admitted, Dir: out})
			if err == nil {
				t.Fatal("it was written")
			}
			if c.code != "" && fault.All(err)[0].Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
			kept, ok := errors.AsType[*merge.Interrupted](err)
			if ok != c.kept || ok != (len(left(t, parent)) == 1) {
				t.Fatalf("%v, and %v is left; want kept %v", err, left(t, parent), c.kept)
			}
			if ok && (kept.Kept <= 0 || kept.Kept >= kept.Total || filepath.Dir(kept.Dir) != parent) {
				t.Errorf("kept %+v", kept)
			}
			wantSame(t, write(t, p, client, out), want)
		})
	}
}

// waitForJournal returns when something is finished in the work directory below parent.
func waitForJournal(parent string) {
	for {
		found, _ := filepath.Glob(filepath.Join(parent, ".*.tenon-*", "journal"))
		for _, path := range found {
			if text, err := os.ReadFile(path); err == nil && bytes.Count(text, []byte("\n")) > 1 {
				return
			}
		}
		time.Sleep(time.Millisecond)
	}
}
