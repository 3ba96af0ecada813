package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// otherAdapter is the example's adapter at half its scale: another generation, with other text.
func otherAdapter(t *testing.T) string { return scaledAdapter(t, 16) }

// scaledAdapter is the example's adapter, whose alpha is 32, with another.
func scaledAdapter(t *testing.T, alpha int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "scaled")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(restaurant, "adapter"))); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "adapter_config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	scaled := strings.Replace(string(text), `"lora_alpha": 32`, fmt.Sprintf(`"lora_alpha": %d`, alpha), 1)
	if scaled == string(text) {
		t.Fatal("the example's alpha is not 32")
	}
	if err := os.WriteFile(config, []byte(scaled), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fastPolicy runs no diagnostics.
const fastPolicy = `schema: tenon.policy/v1
name: fast
modules: []
rules:
  - {code: NOTHING_APPLIED, severity: deny, when: coverage.applied == 0, message: nothing was applied}
`

// serveFast serves the example's base behind a gate without diagnostics, so that a test spends its time on what comes after the gate.
func serveFast(t *testing.T) *Serving {
	t.Helper()
	s := serveWith(t, ServeOptions{})
	t.Cleanup(func() { end(t, s) })
	return s
}

// end stops a server.
func end(t *testing.T, s *Serving) {
	t.Helper()
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// serveWith is serveFast with options, for a test that stops the server itself. What was live has been brought back, or has failed to be.
func serveWith(t *testing.T, o ServeOptions) *Serving {
	t.Helper()
	policy, err := gate.ParsePolicy("fast.yaml", []byte(fastPolicy))
	if err != nil {
		t.Fatal(err)
	}
	o.Base, o.Name = filepath.Join(restaurant, "base"), "base"
	s, err := newHost(t, Options{Policy: policy}).ServeWith(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Opened(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// excused are the errors that a change or a death may give to whoever asks meanwhile.
func excused(err error) bool {
	list := fault.All(err)
	return len(list) > 0 && slices.Contains([]fault.Code{fault.BackendDown, fault.IONotFound, fault.ADName, fault.Canceled, fault.Conflict}, list[0].Code)
}

// collect reads a generation to its end.
func collect(ctx context.Context, s *Serving, alias string) ([]int32, error) {
	stream, err := s.Generate(ctx, &backendpb.GenerateRequest{Alias: alias, Prompt: probePrompt, MaxTokens: 16, Logprobs: -1})
	if err != nil {
		return nil, err
	}
	var got []int32
	for {
		event, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("the stream ended before the text")
		case err != nil:
			return nil, err
		case event.GetFinish() != nil:
			return got, nil
		case event.GetToken() != nil:
			got = append(got, event.GetToken().Id)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("descriptors cannot be counted here: %v", err)
	}
	return len(entries)
}

// TestHammer mixes requests, loads, rollbacks, unloads and deaths of the backend. Every text that ends is wholly one generation's, nothing
// that was acknowledged is lost, and nothing is left behind.
func TestHammer(t *testing.T) {
	s := serveFast(t)
	refs := []string{filepath.Join(restaurant, "adapter"), otherAdapter(t)}
	known := map[string][][]int32{"": {greedy(t, s, "")}}
	for _, ref := range refs {
		load(t, s, "probe", ref)
		for _, alias := range []string{"swapped", "fleeting"} {
			known[alias] = append(known[alias], greedy(t, s, "probe"))
		}
	}
	if slices.Equal(known["swapped"][0], known["swapped"][1]) || slices.Equal(known[""][0], known["swapped"][0]) {
		t.Fatal("the generations cannot be told apart by what they say")
	}
	if err := s.Unload(t.Context(), "probe"); err != nil {
		t.Fatal(err)
	}
	load(t, s, "swapped", refs[0])
	before := openFiles(t)

	var work sync.WaitGroup
	ctx, done := context.WithTimeout(t.Context(), 5*time.Second)
	defer done()
	hammer := func(pause time.Duration, blow func(context.Context) error) {
		work.Go(func() {
			for ctx.Err() == nil {
				// A change is let end. What is given up on at random is a request, or a load.
				call, cancel := context.WithCancel(context.WithoutCancel(ctx))
				if rand.N(8) == 0 {
					time.AfterFunc(rand.N(100*time.Millisecond), cancel)
				}
				if err := blow(call); err != nil && !excused(err) && call.Err() == nil {
					t.Errorf("%v", err)
				}
				cancel()
				time.Sleep(rand.N(pause))
			}
		})
	}
	for _, alias := range []string{"", "swapped", "fleeting"} {
		hammer(time.Millisecond, func(ctx context.Context) error {
			got, err := collect(ctx, s, alias)
			if err == nil && !slices.ContainsFunc(known[alias], func(want []int32) bool { return slices.Equal(want, got) }) {
				t.Errorf("%q said %v, which is no generation of it", alias, got)
			}
			return err
		})
	}
	change := func(alias string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.Load(ctx, server.Load{Alias: alias, Ref: refs[rand.N(len(refs))]})
			return err
		}
	}
	hammer(time.Millisecond, change("swapped"))
	hammer(time.Millisecond, change("fleeting"))
	hammer(20*time.Millisecond, func(ctx context.Context) error { _, err := s.Rollback(ctx, "swapped", ""); return err })
	hammer(20*time.Millisecond, func(ctx context.Context) error { return s.Unload(ctx, "fleeting") })
	work.Go(func() {
		for range 3 { // fewer than make a supervisor give up
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second + rand.N(200*time.Millisecond)):
			}
			if pid := s.supervisor.Pid(); pid != 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	work.Wait()
	if s.Status().Restarts == 0 {
		t.Error("nobody killed the backend")
	}

	// The table and the backend agree.
	for _, m := range s.Models()[1:] {
		stream, err := s.Generate(t.Context(), &backendpb.GenerateRequest{Alias: m.ID, Prompt: probePrompt, MaxTokens: 1, Logprobs: -1})
		if err != nil {
			t.Fatal(err)
		}
		event, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if want := s.alias(m.ID).activation.Generation; string(event.GetAdmitted().GetGeneration()) != string(want[:]) {
			t.Errorf("%s is %x in the backend and %s in the table", m.ID, event.GetAdmitted().GetGeneration(), m.Generation)
		}
		if err := drain(stream); err != nil {
			t.Fatal(err)
		}
		if err := s.Unload(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
	load(t, s, "swapped", refs[0])
	client, err := s.supervisor.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	status, err := client.Status(t.Context(), &backendpb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(status.Generations) != 1 {
		t.Errorf("the backend holds %d generations, one is live", len(status.Generations))
	}
	after := openFiles(t)
	for end := time.Now().Add(10 * time.Second); after > before && time.Now().Before(end); after = openFiles(t) {
		time.Sleep(100 * time.Millisecond) // the pipes of a dead backend are read on for a moment
	}
	if after > before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}
