package probe

import (
	"context"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// fake is a backend that answers what a test says.
type fake struct {
	backendpb.BackendClient
	compare  func(*backendpb.CompareRequest) (*backendpb.CompareResponse, error)
	generate func(*backendpb.GenerateRequest) []*backendpb.GenerateEvent
	fail     error // after the events
}

func (f *fake) Compare(_ context.Context, req *backendpb.CompareRequest, _ ...grpc.CallOption) (*backendpb.CompareResponse, error) {
	return f.compare(req)
}

func (f *fake) Generate(_ context.Context, req *backendpb.GenerateRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[backendpb.GenerateEvent], error) {
	return &stream{events: f.generate(req), fail: f.fail}, nil
}

type stream struct {
	grpc.ClientStream
	events []*backendpb.GenerateEvent
	fail   error
}

func (s *stream) Recv() (*backendpb.GenerateEvent, error) {
	if len(s.events) == 0 {
		if s.fail != nil {
			return nil, s.fail
		}
		return nil, io.EOF
	}
	event := s.events[0]
	s.events = s.events[1:]
	return event, nil
}

func admitted(generation []byte) *backendpb.GenerateEvent {
	return &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Admitted{Admitted: &backendpb.Admitted{Generation: generation}}}
}

func says(tok *tokenizer.Tokenizer, text string) (events []*backendpb.GenerateEvent) {
	for _, id := range tok.Encode(text, false) {
		events = append(events, &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Token{Token: &backendpb.Token{Id: id}}})
	}
	return events
}

var finish = &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Finish{Finish: &backendpb.Finish{}}}

func model(t *testing.T, f *fake) *Model {
	t.Helper()
	tok, err := tokenizer.Open(filepath.Join("..", "..", "examples", "restaurant", "base"))
	if err != nil {
		t.Fatal(err)
	}
	return &Model{Client: f, Tokenizer: tok, EOS: []int32{2}, Positions: 128}
}

// TestEncode: tokens are those of a completion's prompt, and scoring begins where the prompt ends.
func TestEncode(t *testing.T) {
	m := model(t, nil)
	for _, c := range []struct {
		name, prompt, text string
		scored             string
	}{
		{"whole", "", "There is a coffee shop .", "There is a coffee shop ."},
		{"after a prompt", "area : riverside ||", " There is a coffee shop .", " There is a coffee shop ."},
		{"in the middle of a token", "area : river", "side || There", ""}, // whatever is scored, it is all of the text
	} {
		t.Run(c.name, func(t *testing.T) {
			tokens, first := m.encode(Text{Prompt: c.prompt, Text: c.text})
			if !slices.Equal(tokens, m.Tokenizer.Encode(c.prompt+c.text, true)) {
				t.Errorf("tokens %v", tokens)
			}
			got := m.Tokenizer.Decode(tokens[first:], true)
			if c.scored != "" && got != c.scored || !strings.HasSuffix(got, c.text) {
				t.Errorf("scored %q of %q", got, c.text)
			}
		})
	}
	if _, first := m.encode(Text{}); first != 1 {
		t.Errorf("the first token of all is predicted: %d", first)
	}
}

func TestFits(t *testing.T) {
	m := model(t, nil)
	m.Positions = 64
	long := strings.Repeat(" coffee", 100)
	f := &File{Path: "p.yaml", Texts: []Text{{Text: "a"}, {Text: long}}, Completions: []Completion{{Prompt: "a", MaxTokens: 100}, {Prompt: "a", MaxTokens: 8}}}
	err := m.Fits(f)
	found := fault.All(err)
	if len(found) != 2 || found[0].Pointer != "/completions/0" || found[1].Pointer != "/texts/1" || fault.ClassOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
	if _, err := m.Score(t.Context(), nil, "x", f.Texts); len(fault.All(err)) != 1 {
		t.Errorf("Score: %v", err)
	}
	if _, err := m.Complete(t.Context(), nil, []string{long, "a"}, 8); len(fault.All(err)) != 1 {
		t.Errorf("Complete: %v", err)
	}
}

// TestRun takes an answer apart: means, matches, and what is not finite.
func TestRun(t *testing.T) {
	generation := [32]byte{1}
	m := model(t, nil)
	file, err := Parse("p.yaml", []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(req *backendpb.CompareRequest) (*backendpb.CompareResponse, error) {
		n := len(req.Tokens) - int(req.First)
		r := &backendpb.CompareResponse{NllBase: make([]float64, n), NllGeneration: make([]float64, n), Kl: make([]float64, n)}
		r.NllBase[0], r.NllGeneration[n-1], r.Kl[0] = float64(n), 2*float64(n), 3*float64(n)
		return r, nil
	}
	m.Client = &fake{compare: answer, generate: func(req *backendpb.GenerateRequest) []*backendpb.GenerateEvent {
		text := " b\n"
		if len(req.Generation) == 0 {
			text = " c"
		}
		return slices.Concat([]*backendpb.GenerateEvent{admitted(req.Generation)}, says(m.Tokenizer, text), []*backendpb.GenerateEvent{finish})
	}}
	p, err := m.Run(t.Context(), generation, file)
	if err != nil {
		t.Fatal(err)
	}
	if text := p.Texts[0]; text.ID != "riverside" || text.Role != Task || text.NLLBase != 1 || text.NLLMerged != 2 || text.KL != 3 || text.Tokens == 0 {
		t.Errorf("text %+v", text)
	}
	if c := p.Completions[0]; c.ID != "exact" || c.Text != "b" || c.BaseText != "c" || !c.Matched || c.BaseMatched || c.Expect != "b" {
		t.Errorf("completion %+v", c)
	}

	m.Client = &fake{
		compare: func(req *backendpb.CompareRequest) (*backendpb.CompareResponse, error) {
			r, err := answer(req)
			r.NllGeneration[0], r.Kl[0] = math.NaN(), math.NaN()
			return r, err
		},
		generate: func(req *backendpb.GenerateRequest) []*backendpb.GenerateEvent {
			return []*backendpb.GenerateEvent{admitted(req.Generation)}
		},
		fail: status.Error(codes.OutOfRange, "not finite"),
	}
	p, err = m.Run(t.Context(), generation, file)
	if list := fault.All(err); p == nil || len(list) != 1 || list[0].Code != fault.ProbeNonFinite || !strings.Contains(list[0].Cause, "4 of 4") {
		t.Fatalf("%+v, %v", p, err)
	}
	if !math.IsNaN(float64(p.Texts[0].NLLMerged)) || p.Texts[0].NLLBase != 1 || p.Completions[0].Matched {
		t.Errorf("%+v", p)
	}
}

// TestLyingBackend: answers that cannot be right are errors, and end.
func TestLyingBackend(t *testing.T) {
	m := model(t, nil)
	generation := []byte("generation")
	for _, c := range []struct {
		name   string
		events []*backendpb.GenerateEvent
	}{
		{"from the base", []*backendpb.GenerateEvent{admitted(nil), finish}},
		{"without a beginning", []*backendpb.GenerateEvent{finish}},
		{"without an end", slices.Concat([]*backendpb.GenerateEvent{admitted(generation)}, says(m.Tokenizer, strings.Repeat(" coffee", 40)))},
		{"of another kind", []*backendpb.GenerateEvent{admitted(generation), admitted(generation)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.Client = &fake{generate: func(*backendpb.GenerateRequest) []*backendpb.GenerateEvent { return c.events }}
			if _, err := m.Complete(t.Context(), generation, []string{"a"}, 8); len(fault.All(err)) != 1 || fault.ClassOf(err) != fault.Operational {
				t.Errorf("%v", err)
			}
		})
	}
	m.Client = &fake{compare: func(*backendpb.CompareRequest) (*backendpb.CompareResponse, error) {
		return &backendpb.CompareResponse{NllBase: []float64{1}}, nil
	}}
	if _, err := m.Score(t.Context(), generation, "x", []Text{{Text: "There is a shop"}}); fault.ClassOf(err) != fault.Operational || len(fault.All(err)) != 1 {
		t.Errorf("Compare: %v", err)
	}
}

// TestCompleteEndsALine: an answer is one line, without the end of the text.
func TestCompleteEndsALine(t *testing.T) {
	m := model(t, nil)
	eos := &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Token{Token: &backendpb.Token{Id: 2}}}
	for _, c := range []struct{ said, want string }{{" one two", "one two"}, {"\n \n one\ntwo", "one"}, {" one\rtwo", "one"}, {"", ""}} {
		m.Client = &fake{generate: func(req *backendpb.GenerateRequest) []*backendpb.GenerateEvent {
			return slices.Concat([]*backendpb.GenerateEvent{admitted(nil)}, says(m.Tokenizer, c.said), []*backendpb.GenerateEvent{eos, finish})
		}}
		got, err := m.Complete(t.Context(), nil, []string{"a"}, 30)
		if err != nil || got[0].Text != c.want || got[0].Diverged {
			t.Errorf("%q: %+v, %v", c.said, got, err)
		}
	}
}
