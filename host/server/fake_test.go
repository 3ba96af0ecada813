package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Ids of the tokenizer's fixture that the tests use.
const (
	bos   = 1
	eos   = 2
	the   = 262 // " the"
	hello = 272
	world = 279 // " world"
)

// fake is an Engine with one base and whatever was loaded. It generates script, whatever the prompt.
type fake struct {
	tok     *tokenizer.Tokenizer
	script  []int32 // generated ids; with eos at its end the finish is STOP
	fail    error   // after the script, instead of Finish
	failAt  string  // "generate" or "admit": fail there
	block   chan struct{}
	limits  Limits
	verdict report.Verdict
	loadErr error
	loading func() // called by Load
	tally   *Tally
	cached  int // cached_tokens of every prompt
	swapAt  int // from this request on, counted from 1, aliases mean another generation; 0: never

	mu       sync.Mutex
	loaded   map[string]Model
	status   Status
	requests []*backendpb.GenerateRequest
	streams  []*fakeStream
	feed     *Feed
	asked    []string // "load chat"
	actor    Actor    // of the last thing that was asked
}

var _ Engine = (*fake)(nil)

func newFake(t testing.TB) *fake {
	t.Helper()
	data, err := os.ReadFile("../tokenizer/testdata/plain.json")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Parse("plain.json", data)
	if err != nil {
		t.Fatal(err)
	}
	return &fake{tok: tok, script: []int32{the, hello, world, eos}, verdict: report.Admit, tally: NewTally(),
		limits: Limits{MaxPositions: 64, VocabSize: tok.Size(), EOS: []int32{eos}, MaxAdapters: 4},
		feed:   NewFeed(), loaded: map[string]Model{}, status: Status{Ready: true, State: "ready", Backend: "fake 1", Device: "none"}}
}

// modelOf is a live adapter of the fake.
func modelOf(alias, ref string) Model {
	return Model{ID: alias, Root: ref, Parent: "tiny", Digest: "sha256:aa", Generation: GenerationName([]byte{0xab}),
		Verdict: report.Admit, Created: 1700000000, History: 1, Sequence: 1, Mode: ModeMerged, ModeReason: "it fits", State: StateLive, Bytes: 4096}
}

// reportOf is what the gate says about an adapter.
func reportOf(ref string, verdict report.Verdict) *report.Report {
	digest := "sha256:" + strings.Repeat("aa", 32)
	return &report.Report{SchemaVersion: report.SchemaVersion, Verdict: verdict, Adapter: report.Adapter{Ref: ref, Format: "peft", Digest: digest},
		Base: report.Base{Ref: "/models/tiny", Digest: digest, DType: "BF16"}, Policy: report.Policy{Name: "default", Digest: digest}}
}

func (f *fake) Models() []Model {
	f.mu.Lock()
	defer f.mu.Unlock()
	models := []Model{{ID: "tiny", Root: "/models/tiny", Digest: "sha256:bb", Generation: GenerationName(nil), Created: 1600000000}}
	var names []string
	for name := range f.loaded {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		models = append(models, f.loaded[name])
	}
	return models
}

func (f *fake) Load(ctx context.Context, load Load) (loaded *Loaded, err error) {
	defer func() { f.tally.Load(loaded, err) }()
	alias, ref := load.Alias, load.Ref
	f.ask(ctx, "load", alias)
	if f.loading != nil {
		f.loading()
	}
	if f.loadErr != nil {
		return nil, f.loadErr
	}
	rep := reportOf(ref, f.verdict)
	if !f.verdict.Open() {
		rep.Findings = []report.Finding{
			{Code: "x", Severity: report.Info, Message: "not this one"},
			{Code: string(fault.ADTarget), Severity: report.DenySeverity, Message: "target q_proj is not in the base", Value: 0, Limit: 0},
		}
		return &Loaded{Report: rep}, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded[alias] = modelOf(alias, ref)
	return &Loaded{Report: rep, Model: f.loaded[alias]}, nil
}

func (f *fake) Unload(ctx context.Context, alias string) error {
	f.ask(ctx, "unload", alias)
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.loaded[alias]; !ok {
		return fault.New(fault.IONotFound, "no adapter is loaded as %s", alias)
	}
	delete(f.loaded, alias)
	return nil
}

func (f *fake) Activate(ctx context.Context, alias, generation string) (Model, error) {
	f.ask(ctx, "activate", alias)
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.loaded[alias]
	if !ok || m.Generation != generation {
		return Model{}, fault.New(fault.IONotFound, "no generation %s of %s", generation, alias)
	}
	return m, nil
}

func (f *fake) History(ctx context.Context, alias string, _ int) ([]Record, error) {
	f.ask(ctx, "history", alias)
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.loaded[alias]
	if !ok {
		return nil, fault.New(fault.IONotFound, "no adapter is loaded as %s", alias)
	}
	return []Record{{Sequence: 1, Time: time.Unix(m.Created, 0), Actor: "operator", Action: "activate", State: StateLive,
		Generation: m.Generation, Digest: m.Digest, Ref: m.Root, Mode: ModeMerged, Verdict: m.Verdict}}, nil
}

func (f *fake) Generations() []Resident {
	f.mu.Lock()
	defer f.mu.Unlock()
	var aliases []string
	for alias := range f.loaded {
		aliases = append(aliases, alias)
	}
	slices.Sort(aliases)
	if len(aliases) == 0 {
		return nil
	}
	return []Resident{{Generation: GenerationName([]byte{0xab}), Aliases: aliases, State: StateLive, Mode: ModeMerged, Bytes: 4096, Requests: 3}}
}

// ask notes what the engine is asked, and by whom.
func (f *fake) ask(ctx context.Context, what, alias string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, what+" "+alias)
	f.actor = ActorOf(ctx)
}

func (f *fake) Feed() *Feed { return f.feed }

func (f *fake) Rollback(ctx context.Context, alias, _ string) (Model, error) {
	f.ask(ctx, "rollback", alias)
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.loaded[alias]
	if !ok {
		return Model{}, fault.New(fault.IONotFound, "no adapter is loaded as %s", alias)
	}
	m.History--
	f.loaded[alias] = m
	return m, nil
}

func (f *fake) Tokenizer() *tokenizer.Tokenizer { return f.tok }
func (f *fake) Limits() Limits                  { return f.limits }

func (f *fake) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fake) Report(ctx context.Context, alias, _ string) (*report.Report, error) {
	f.ask(ctx, "report", alias)
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.loaded[alias]
	if !ok {
		return nil, fault.New(fault.IONotFound, "no adapter is loaded as %s", alias)
	}
	return reportOf(m.Root, m.Verdict), nil
}

func (f *fake) Generate(ctx context.Context, request *backendpb.GenerateRequest) (Stream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, request)
	if f.failAt == "generate" {
		return nil, f.fail
	}
	s := &fakeStream{ctx: ctx, fake: f, request: request, events: f.events(request)}
	f.streams = append(f.streams, s)
	return s, nil
}

// events writes the whole stream. The log-probability of the i-th token, prompt included, is -i/4; the alternatives are " the" and "hello".
func (f *fake) events(request *backendpb.GenerateRequest) []*backendpb.GenerateEvent {
	var generation []byte
	if request.GetAlias() != "" {
		generation = []byte{0xab}
		if f.swapAt > 0 && len(f.requests) >= f.swapAt {
			generation = []byte{0xcd}
		}
	}
	events := []*backendpb.GenerateEvent{{Event: &backendpb.GenerateEvent_Admitted{Admitted: &backendpb.Admitted{Generation: generation, CachedTokens: int32(f.cached)}}}}
	place := 0
	token := func(id int32) *backendpb.Token {
		t := &backendpb.Token{Id: id}
		if request.GetLogprobs() >= 0 && place > 0 {
			t.Logprob, t.HasLogprob = -float64(place)/4, true
			for i := range min(int(request.GetLogprobs()), 2) {
				t.Alternatives = append(t.Alternatives, &backendpb.Alternative{Id: []int32{the, hello}[i], Logprob: -float64(i)})
			}
		}
		place++
		return t
	}
	for _, id := range request.GetPrompt() {
		if t := token(id); request.GetPromptLogprobs() {
			events = append(events, &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Prompt{Prompt: t}})
		}
	}
	reason := backendpb.Finish_LENGTH
	for i, id := range f.script {
		if i == int(request.GetMaxTokens()) {
			break
		}
		events = append(events, &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Token{Token: token(id)}})
		if slices.Contains(request.GetStop(), id) {
			reason = backendpb.Finish_STOP
			break
		}
	}
	return append(events, &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Finish{Finish: &backendpb.Finish{Reason: reason}}})
}

type fakeStream struct {
	ctx     context.Context
	fake    *fake
	request *backendpb.GenerateRequest
	events  []*backendpb.GenerateEvent
	sent    int
}

func (s *fakeStream) Recv() (*backendpb.GenerateEvent, error) {
	if s.fake.block != nil && s.sent > 0 {
		select {
		case <-s.fake.block:
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		}
	}
	if s.sent == 0 && s.fake.failAt == "admit" || len(s.events) == 1 && s.fake.fail != nil {
		return nil, s.fake.fail
	}
	if len(s.events) == 0 {
		return nil, io.EOF
	}
	next := s.events[0]
	s.events = s.events[1:]
	s.sent++
	return next, nil
}

func newServer(t testing.TB, f *fake) *Server {
	t.Helper()
	return New(f, Options{Log: slog.New(slog.DiscardHandler), BaseName: "tiny", Addr: "127.0.0.1:8321", Version: "test", MaxRequests: 2, Tally: f.tally})
}

// do sends a request to the handler. A body makes it a POST of JSON.
func do(t testing.TB, s *Server, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8321"+path, nil)
	if body != "" {
		r = httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8321"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	fitsDocument(t, s, r, w)
	return w
}

// decode reads an answer's JSON.
func decode(t testing.TB, data string, out any) {
	t.Helper()
	if err := json.Unmarshal([]byte(data), out); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}

// wantError checks an OpenAI-shaped error.
func wantError(t testing.TB, w *httptest.ResponseRecorder, status int, code fault.Code, param, message string) {
	t.Helper()
	var got problem
	decode(t, w.Body.String(), &got)
	gotCode, gotParam := "", ""
	if got.Error.Code != nil {
		gotCode = *got.Error.Code
	}
	if got.Error.Param != nil {
		gotParam = *got.Error.Param
	}
	if w.Code != status || gotCode != string(code) || gotParam != param || !strings.Contains(got.Error.Message, message) {
		t.Errorf("got %d %s, want %d, code %q, param %q, message with %q", w.Code, w.Body, status, code, param, message)
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %q", kind)
	}
}

// decodeLoose reads an answer into a type whose fields are not all tagged.
func decodeLoose(t testing.TB, data string, out any) {
	t.Helper()
	if err := json.Unmarshal([]byte(data), out, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}
