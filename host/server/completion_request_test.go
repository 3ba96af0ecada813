package server

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

func TestSampling(t *testing.T) {
	for _, c := range []struct {
		fields string
		want   *backendpb.GenerateRequest
	}{
		{``, &backendpb.GenerateRequest{MaxTokens: 16, Temperature: 1}},
		{`,"temperature":0`, &backendpb.GenerateRequest{MaxTokens: 16}},
		{`,"temperature":0.5,"top_p":0.25,"seed":-1,"max_tokens":7`,
			&backendpb.GenerateRequest{MaxTokens: 7, Temperature: 0.5, TopP: 0.25, Seed: math.MaxUint64}},
		{`,"temperature":0,"max_tokens":62`, &backendpb.GenerateRequest{MaxTokens: 62}},
		{`,"temperature":0,"user":"u","n":1,"best_of":1.0,"suffix":"","logit_bias":{ },"presence_penalty":0.0,"frequency_penalty":-0,` +
			`"top_k":-1,"stop":null,"seed":null,"logprobs":null,"unheard_of":null`, &backendpb.GenerateRequest{MaxTokens: 16}},
	} {
		f := newFake(t)
		complete(t, newServer(t, f), `{"model":"tiny","prompt":"x"`+c.fields+`}`)
		got := f.requests[0]
		if got.GetMaxTokens() != c.want.GetMaxTokens() || got.GetTemperature() != c.want.GetTemperature() || got.GetTopP() != c.want.GetTopP() ||
			got.GetLogprobs() != -1 || !slices.Equal(got.GetStop(), []int32{eos}) || got.GetAlias() != "" {
			t.Errorf("%s: request %v", c.fields, got)
		}
		if c.fields != "" && got.GetSeed() != c.want.GetSeed() {
			t.Errorf("%s: seed %d", c.fields, got.GetSeed())
		}
	}
}

func TestCompletionRefusals(t *testing.T) {
	long := strings.Repeat("x ", 64)
	for _, c := range []struct {
		name, body string
		status     int
		code       fault.Code
		param      string
		message    string
	}{
		{"no model", `{"prompt":"x"}`, 400, fault.UsageFlag, "model", "missing"},
		{"unknown model", `{"model":"a\u202eb","prompt":"x"}`, 404, fault.IONotFound, "model", `"a\u202eb" does not exist`},
		{"no prompt", `{"model":"tiny"}`, 400, fault.UsageFlag, "prompt", "missing"},
		{"prompt of a wrong type", `{"model":"tiny","prompt":{}}`, 400, fault.UsageFlag, "prompt", "not a string"},
		{"prompt of mixed types", `{"model":"tiny","prompt":[1,"a"]}`, 400, fault.UsageFlag, "prompt", "not a string"},
		{"prompt of fractions", `{"model":"tiny","prompt":[1.5]}`, 400, fault.UsageFlag, "prompt", "not a string"},
		{"nested prompt", `{"model":"tiny","prompt":[[[1]]]}`, 400, fault.UsageFlag, "prompt", "not a string"},
		{"one prompt of two that is wrong", `{"model":"tiny","prompt":["a",5]}`, 400, fault.UsageFlag, "prompt", "not a string"},
		{"too many prompts", `{"model":"tiny","prompt":[` + strings.Repeat(`"a",`, 64) + `"a"]}`, 400, fault.UsageFlag, "prompt", "more than 64"},
		{"too many texts", `{"model":"tiny","n":33,"prompt":["a","b"]}`, 400, fault.UsageFlag, "n", "more than 64"},
		{"no ids", `{"model":"tiny","prompt":[]}`, 400, fault.UsageFlag, "prompt", "no tokens"},
		{"id too large", `{"model":"tiny","prompt":[1,281]}`, 400, fault.UsageFlag, "prompt", "281 at 1 is outside 0 to 280"},
		{"negative id", `{"model":"tiny","prompt":[-1]}`, 400, fault.UsageFlag, "prompt", "outside"},
		{"prompt too long", `{"model":"tiny","prompt":"` + long + `"}`, 400, fault.UsageFlag, "max_tokens", "context is 64 tokens"},
		{"max_tokens too large", `{"model":"tiny","prompt":"x","max_tokens":63}`, 400, fault.UsageFlag, "max_tokens", "the prompt has 2"},
		{"max_tokens of 2^40", `{"model":"tiny","prompt":"x","max_tokens":1099511627776}`, 400, fault.UsageFlag, "max_tokens", "context"},
		{"max_tokens 0", `{"model":"tiny","prompt":"x","max_tokens":0}`, 400, fault.UsageFlag, "max_tokens", "echo"},
		{"max_tokens text", `{"model":"tiny","prompt":"x","max_tokens":"5"}`, 400, fault.UsageFlag, "max_tokens", "wrong value"},
		{"temperature", `{"model":"tiny","prompt":"x","temperature":-1}`, 400, fault.UsageFlag, "temperature", "negative"},
		{"top_p 0", `{"model":"tiny","prompt":"x","top_p":0}`, 400, fault.UsageFlag, "top_p", "above 0"},
		{"top_p 2", `{"model":"tiny","prompt":"x","top_p":2}`, 400, fault.UsageFlag, "top_p", "at most 1"},
		{"logprobs", `{"model":"tiny","prompt":"x","logprobs":21}`, 400, fault.UsageFlag, "logprobs", "0 to 20"},
		{"n 0", `{"model":"tiny","prompt":"x","n":0}`, 400, fault.UsageFlag, "n", "outside 1 to 64"},
		{"n 65", `{"model":"tiny","prompt":"x","n":65}`, 400, fault.UsageFlag, "n", "outside 1 to 64"},
		{"min_tokens", `{"model":"tiny","prompt":"x","min_tokens":2}`, 400, fault.UsageFlag, "min_tokens", "not supported"},
		{"stop token", `{"model":"tiny","prompt":"x","stop_token_ids":[281]}`, 400, fault.UsageFlag, "stop_token_ids", "outside 0 to 280"},
		{"best_of", `{"model":"tiny","prompt":"x","best_of":3}`, 400, fault.UsageFlag, "best_of", "not supported"},
		{"suffix", `{"model":"tiny","prompt":"x","suffix":"y"}`, 400, fault.UsageFlag, "suffix", "not supported"},
		{"logit_bias", `{"model":"tiny","prompt":"x","logit_bias":{"1":5}}`, 400, fault.UsageFlag, "logit_bias", "not supported"},
		{"several at once", `{"model":"tiny","prompt":"x","top_k":5,"presence_penalty":1,"temperature":-1}`, 400, fault.UsageFlag,
			"presence_penalty", "presence_penalty is not supported: leave it out or give 0; top_k is not supported: leave it out or give 0 or -1; temperature"},
		{"unknown field", `{"model":"tiny","prompt":"x","max_token":5}`, 400, fault.UsageFlag, "max_token", `"max_token" is not supported`},
		{"stop number", `{"model":"tiny","prompt":"x","stop":5}`, 400, fault.UsageFlag, "stop", "array of strings"},
		{"five stops", `{"model":"tiny","prompt":"x","stop":["a","b","c","d","e"]}`, 400, fault.UsageFlag, "stop", "at most 4"},
		{"empty stop", `{"model":"tiny","prompt":"x","stop":""}`, 400, fault.UsageFlag, "stop", "0 bytes"},
		{"stream options alone", `{"model":"tiny","prompt":"x","stream_options":{}}`, 400, fault.UsageFlag, "stream_options", "only for"},
		{"field twice", `{"model":"tiny","model":"tiny","prompt":"x"}`, 400, fault.UsageFlag, "model", "duplicate"},
		{"unknown field twice", `{"model":"tiny","q":null,"q":null,"prompt":"x"}`, 400, fault.UsageFlag, "q", "duplicate"},
		{"not JSON", `{"model":`, 400, fault.UsageFlag, "model", "not valid JSON"},
		{"array", `[]`, 400, fault.UsageFlag, "", "not a JSON object"},
		{"invalid UTF-8", "{\"model\":\"tiny\",\"prompt\":\"\xff\"}", 400, fault.UsageFlag, "prompt", "UTF-8"},
		{"lone surrogate", `{"model":"tiny","prompt":"\ud800"}`, 400, fault.UsageFlag, "prompt", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			wantError(t, do(t, newServer(t, f), "/v1/completions", c.body), c.status, c.code, c.param, c.message)
			if len(f.requests) > 0 {
				t.Error("the engine was asked")
			}
		})
	}
}

func TestBackendFailures(t *testing.T) {
	down := fault.New(fault.BackendDown, "the backend died")
	for _, c := range []struct {
		name, failAt string
		err          error
		status       int
		code         fault.Code
	}{
		{"at the start", "generate", down, 503, fault.BackendDown},
		{"before it admits", "admit", down, 503, fault.BackendDown},
		{"in the middle", "", down, 503, fault.BackendDown},
		{"alias gone", "generate", fault.New(fault.IONotFound, "gone"), 404, fault.IONotFound},
		{"error of no kind", "generate", fmt.Errorf("what"), 500, ""},
		{"cancelled", "admit", context.Canceled, 503, fault.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			f.fail, f.failAt = c.err, c.failAt
			w := do(t, newServer(t, f), "/v1/completions", `{"model":"tiny","prompt":"x"}`)
			wantError(t, w, c.status, c.code, "", "")
			if retry := w.Header().Get("Retry-After"); (retry == "1") != (c.status == 503) {
				t.Errorf("Retry-After %q", retry)
			}
		})
	}
	t.Run("in the middle of a stream", func(t *testing.T) {
		f := newFake(t)
		f.fail = down
		w := do(t, newServer(t, f), "/v1/completions", `{"model":"tiny","prompt":"x","stream":true}`)
		body := w.Body.String()
		last := body[strings.LastIndex(strings.TrimSpace(body), "data: "):]
		if w.Code != 200 || !strings.Contains(body, `"text":" the"`) || strings.Contains(body, "[DONE]") ||
			!strings.HasPrefix(last, `data: {"error":{"message":`) || !strings.Contains(last, `"code":"IO_BACKEND"`) {
			t.Errorf("%d %s", w.Code, body)
		}
	})
	t.Run("before a stream", func(t *testing.T) {
		f := newFake(t)
		f.fail, f.failAt = down, "admit"
		wantError(t, do(t, newServer(t, f), "/v1/completions", `{"model":"tiny","prompt":"x","stream":true}`), 503, fault.BackendDown, "", "died")
	})
}

// TestNonsense is a backend that breaks its contract.
func TestNonsense(t *testing.T) {
	token := func(id int32) *backendpb.GenerateEvent {
		return &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Token{Token: &backendpb.Token{Id: id}}}
	}
	promptToken := func(id int32) *backendpb.GenerateEvent {
		return &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Prompt{Prompt: &backendpb.Token{Id: id}}}
	}
	finish := func(reason backendpb.Finish_Reason) *backendpb.GenerateEvent {
		return &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Finish{Finish: &backendpb.Finish{Reason: reason}}}
	}
	request := &backendpb.GenerateRequest{Prompt: []int32{bos, hello}, Logprobs: 0, PromptLogprobs: true}
	for _, c := range []struct {
		name   string
		events []*backendpb.GenerateEvent
	}{
		{"no end", []*backendpb.GenerateEvent{promptToken(bos), promptToken(hello), token(the)}},
		{"no prompt", []*backendpb.GenerateEvent{token(the)}},
		{"half a prompt", []*backendpb.GenerateEvent{promptToken(bos), finish(backendpb.Finish_LENGTH)}},
		{"another prompt", []*backendpb.GenerateEvent{promptToken(bos), promptToken(the)}},
		{"more prompt", []*backendpb.GenerateEvent{promptToken(bos), promptToken(hello), promptToken(hello)}},
		{"no reason", []*backendpb.GenerateEvent{promptToken(bos), promptToken(hello), finish(backendpb.Finish_UNKNOWN)}},
		{"nothing", []*backendpb.GenerateEvent{{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			r := &run{events: &fakeStream{ctx: t.Context(), fake: f, events: c.events}, wanted: wanted{request: request, prompt: prompt{ids: request.GetPrompt()}},
				text: newAssembly(f.tok, nil, nil, true)}
			if e := toAPI(r.to(func() error { return nil })); e.code != fault.BackendDown {
				t.Errorf("got %v", e)
			}
		})
	}
}

// TestStopEndsTheWork checks that the backend's request is cancelled once a stop string was found.
func TestStopEndsTheWork(t *testing.T) {
	f := newFake(t)
	complete(t, newServer(t, f), `{"model":"tiny","prompt":"x","stop":"hello"}`)
	if s := f.streams[0]; s.ctx.Err() == nil || len(s.events) == 0 {
		t.Errorf("context %v, %d events left", s.ctx.Err(), len(s.events))
	}
}
