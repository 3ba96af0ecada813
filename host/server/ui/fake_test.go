package ui

import (
	"context"
	"encoding/hex"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// attack is what every foreign string of the fake is made of.
const attack = "<script>window.attacked=1</script><img src=x onerror=window.attacked=1>\"'><b>\u202egnp\x1b[2J"

// digest makes the name of a generation of one letter.
func digest(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

// fake is an Engine of a base, an adapter with three generations, a staged one, one that failed, and one of another tenant.
type fake struct {
	tokens *tokenizer.Tokenizer
	feed   *server.Feed

	mu      sync.Mutex
	live    map[string]string // generation by alias
	actions []string
	loads   []server.Load
	verdict report.Verdict
}

var _ server.Engine = (*fake)(nil)

func newFake(t testing.TB) *fake {
	t.Helper()
	data, err := os.ReadFile("../../tokenizer/testdata/plain.json")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := tokenizer.Parse("plain.json", data)
	if err != nil {
		t.Fatal(err)
	}
	return &fake{tokens: tokens, feed: server.NewFeed(), verdict: report.Admit,
		live: map[string]string{"menu": digest("c"), "acme/secret": digest("e")}}
}

func (f *fake) Models() []server.Model {
	f.mu.Lock()
	defer f.mu.Unlock()
	models := []server.Model{{ID: "tiny", Root: "/models/tiny", Digest: digest("0"), Generation: "base"}}
	for _, alias := range []string{"acme/secret", "broken", "menu"} {
		m := server.Model{ID: alias, Root: "/adapters/" + alias + attack, Parent: "tiny", Digest: digest("9"), Verdict: report.WarnVerdict,
			Created: 1_790_000_000, History: 2, Mode: server.ModeMerged, ModeReason: "it fits" + attack, State: server.StateLive, Bytes: 3 << 20, Sequence: 7}
		if m.Generation = f.live[alias]; alias == "broken" {
			m.State, m.Failure, m.Generation = server.StateFailed, "its bytes changed on disk"+attack, digest("f")
		}
		if m.Generation != "" {
			models = append(models, m)
		}
	}
	return models
}

// report is the golden report of package report.
func (f *fake) report() *report.Report {
	r := new(report.Report)
	data, err := os.ReadFile("../../report/testdata/full.json")
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err != nil {
		panic(err)
	}
	return r
}

func (f *fake) act(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.actions = append(f.actions, what)
}

func (f *fake) did() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.actions)
}

func (f *fake) Load(ctx context.Context, load server.Load) (*server.Loaded, error) {
	f.act("load " + load.Alias + " by " + server.ActorOf(ctx).Name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loads = append(f.loads, load)
	r := f.report()
	r.Verdict = f.verdict
	if !r.Verdict.Open() {
		return &server.Loaded{Report: r}, nil
	}
	f.live[load.Alias] = digest("d")
	return &server.Loaded{Report: r}, nil
}

func (f *fake) turn(what, alias, generation string) (server.Model, error) {
	f.mu.Lock()
	_, known := f.live[alias]
	f.mu.Unlock()
	if !known {
		return server.Model{}, fault.New(fault.IONotFound, "no adapter is loaded as %q", alias)
	}
	f.act(what + " " + alias + " " + generation)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live[alias] = generation
	f.feed.Publish(server.Event{Kind: server.KindLive, Alias: alias, Generation: generation})
	return server.Model{}, nil
}

func (f *fake) Activate(_ context.Context, alias, generation string) (server.Model, error) {
	return f.turn("activate", alias, generation)
}

func (f *fake) Rollback(_ context.Context, alias, generation string) (server.Model, error) {
	return f.turn("rollback", alias, generation)
}

func (f *fake) Unload(_ context.Context, alias string) error {
	_, err := f.turn("unload", alias, "")
	return err
}

func (f *fake) History(_ context.Context, alias string, _ int) ([]server.Record, error) {
	f.mu.Lock()
	live, known := f.live[alias]
	f.mu.Unlock()
	if !known {
		return nil, fault.New(fault.IONotFound, "no adapter is loaded as %q", alias)
	}
	at := time.Unix(1_790_000_000, 0)
	all := []server.Record{{Time: at, Actor: "ops" + attack, Action: "stage", State: server.StateStaged, Generation: digest("d"), Ref: attack}}
	for i, letter := range []string{"c", "b", "a"} {
		state := server.StatePast
		if digest(letter) == live {
			state = server.StateLive
		}
		all = append(all, server.Record{Sequence: uint64(7 - i), Time: at, Actor: "ops", Action: "activate", State: state, Generation: digest(letter),
			Ref: "/adapters/" + letter, Mode: server.ModeMerged, Verdict: report.Admit})
	}
	return all, nil
}

func (f *fake) Generations() []server.Resident {
	return []server.Resident{{Generation: digest("b"), State: server.StatePast, Mode: server.ModeMerged, Aliases: []string{"menu"}},
		{Generation: digest("c"), State: server.StateLive, Mode: server.ModeMerged, Aliases: []string{"menu"}, Requests: 3},
		{Generation: digest("e"), State: server.StateLive, Mode: server.ModeMerged, Aliases: []string{"acme/secret"}}}
}

func (f *fake) Report(_ context.Context, alias, _ string) (*report.Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.live[alias]; !known {
		return nil, fault.New(fault.IONotFound, "no adapter is loaded as %q", alias)
	}
	return f.report(), nil
}

func (f *fake) Tokenizer() *tokenizer.Tokenizer { return f.tokens }
func (f *fake) Limits() server.Limits {
	return server.Limits{MaxPositions: 512, VocabSize: f.tokens.Size(), EOS: []int32{2}, MaxAdapters: 8}
}
func (f *fake) Feed() *server.Feed { return f.feed }

func (f *fake) Status() server.Status {
	return server.Status{Ready: true, State: "ready", Backend: "fake 1", MemoryUsed: 6 << 20, MemoryLimit: 64 << 20, Running: 3, Restarts: 1}
}

// answer is tokens that come one by one.
type answer struct{ events []*backendpb.GenerateEvent }

func (a *answer) Recv() (*backendpb.GenerateEvent, error) {
	if len(a.events) == 0 {
		return nil, io.EOF
	}
	next := a.events[0]
	a.events = a.events[1:]
	return next, nil
}

// Generate says "the hello" for the base, and "the hello, from LETTER" for a generation.
func (f *fake) Generate(_ context.Context, request *backendpb.GenerateRequest) (server.Stream, error) {
	generation := request.Generation
	if request.Alias != "" {
		f.mu.Lock()
		generation, _ = hex.DecodeString(strings.TrimPrefix(f.live[request.Alias], "sha256:"))
		f.mu.Unlock()
	}
	text := "the hello"
	if len(generation) > 0 {
		text += ", from " + hex.EncodeToString(generation)[:1]
	}
	a := &answer{events: []*backendpb.GenerateEvent{{Event: &backendpb.GenerateEvent_Admitted{Admitted: &backendpb.Admitted{Generation: generation}}}}}
	for _, id := range f.tokens.Encode(text, false) {
		a.events = append(a.events, &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Token{Token: &backendpb.Token{Id: id}}})
	}
	a.events = append(a.events, &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Finish{Finish: &backendpb.Finish{Reason: backendpb.Finish_STOP}}})
	return a, nil
}
