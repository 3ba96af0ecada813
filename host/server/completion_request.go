package server

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Limits of a completion's parameters.
const (
	defaultMaxTokens = 16
	maxLogprobs      = 20
	maxStops         = 4
	maxStopBytes     = 256
)

// completionRequest is the body of POST /v1/completions. What it does not name is either in ignored, or must have its neutral value.
type completionRequest struct {
	Model         string         `json:"model"`
	Prompt        jsontext.Value `json:"prompt"`
	MaxTokens     *int64         `json:"max_tokens"`
	N             *int64         `json:"n"`
	Temperature   *float64       `json:"temperature"`
	TopP          *float64       `json:"top_p"`
	Seed          *int64         `json:"seed"`
	Stream        bool           `json:"stream"`
	StreamOptions *streamOptions `json:"stream_options"`
	Logprobs      *int64         `json:"logprobs"`
	Echo          bool           `json:"echo"`
	Stop          jsontext.Value `json:"stop"`
	StopTokenIDs  []int32        `json:"stop_token_ids"`
	IgnoreEOS     bool           `json:"ignore_eos"`

	Rest map[string]jsontext.Value `json:",embed"`
}

// ignored are fields that cannot change an answer.
var ignored = []string{"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
	"request_id", "priority", "cache_salt"}

// neutral are the values of unsupported fields that ask for nothing. Any other value would be a silent no-op, so it is refused.
var neutral = map[string][]string{
	"best_of": {"1"}, "suffix": {`""`}, "logit_bias": {"{}"}, "presence_penalty": {"0"}, "frequency_penalty": {"0"},
	"repetition_penalty": {"1"}, "length_penalty": {"1"}, "top_k": {"0", "-1"}, "min_p": {"0"}, "min_tokens": {"0"},
	"use_beam_search": {"false"}, "bad_words": {"[]"}, "include_stop_str_in_output": {"false"},
	"skip_special_tokens": {"true"}, "spaces_between_special_tokens": {"true"}, "add_special_tokens": {"true"},
	"return_tokens_as_token_ids": {"false"}, "return_token_ids": {"false"}, "response_format": {`{"type":"text"}`},
}

// completion is a request that was found good.
type completion struct {
	model   Model
	name    string   // as the client calls the model
	choices []wanted // at least one
	stops   []string
	echo    bool
	stream  bool
	usage   bool // a stream ends with the usage
}

// wanted is one text of a completion.
type wanted struct {
	request *backendpb.GenerateRequest
	prompt  prompt
}

// violations are what is wrong with a request, in the order in which it is looked at.
type violations []*apiError

func (v *violations) add(param, message string, args ...any) {
	*v = append(*v, refuse(http.StatusBadRequest, param, message, args...))
}

// err is all of them in one error, which names the first one's parameter.
func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	messages := make([]string, len(v))
	for i, e := range v {
		messages[i] = e.message
	}
	return refuse(http.StatusBadRequest, v[0].param, "%s", strings.Join(messages, "; "))
}

// asked finds the model of a request.
func (s *Server) asked(ctx context.Context, name string) (Model, error) {
	if name == "" {
		return Model{}, refuse(http.StatusBadRequest, "model", "model is missing: GET /v1/models lists them")
	}
	model, ok := s.find(ctx, name)
	if !ok {
		return Model{}, unknownModel(name)
	}
	return model, nil
}

func unknownModel(name string) error {
	return &apiError{status: http.StatusNotFound, code: fault.IONotFound, param: "model",
		message: "the model " + escape(name) + " does not exist: GET /v1/models lists those that do"}
}

// completion checks a request against the models, the tokenizer and the limits.
func (s *Server) completion(ctx context.Context, body *completionRequest) (*completion, error) {
	model, err := s.asked(ctx, body.Model)
	if err != nil {
		return nil, err
	}
	var wrong violations
	wrong.rest(body.Rest, neutral)
	limits := s.engine.Limits()
	c := &completion{model: model, name: body.Model, echo: body.Echo}
	request, n := wrong.sampled(c, sampling{body.N, body.Temperature, body.TopP, body.Seed, body.Stop, body.StopTokenIDs, body.IgnoreEOS,
		body.Stream, body.StreamOptions}, limits)
	if body.Logprobs != nil {
		if *body.Logprobs < 0 || *body.Logprobs > maxLogprobs {
			wrong.add("logprobs", "logprobs %d is outside 0 to %d", *body.Logprobs, maxLogprobs)
		} else {
			request.Logprobs = int32(*body.Logprobs)
			request.PromptLogprobs = body.Echo
		}
	}
	prompts := wrong.prompts(s, body.Prompt, limits)
	var maxTokens []int32
	for _, p := range prompts {
		maxTokens = append(maxTokens, wrong.length("max_tokens", body.MaxTokens, defaultMaxTokens, len(p.ids), body.Echo, limits))
		if len(wrong) > 0 {
			break
		}
	}
	if len(prompts) == 0 { // its length cannot be judged, but a number that no prompt allows can
		wrong.length("max_tokens", body.MaxTokens, defaultMaxTokens, 0, body.Echo, limits)
	}
	if len(wrong) == 0 {
		c.texts(request, prompts, n, maxTokens, &wrong)
	}
	return c, wrong.err()
}

// rest refuses every field that asks for what is not supported, by name.
func (v *violations) rest(fields map[string]jsontext.Value, neutral map[string][]string) {
	var names []string
	for name, value := range fields {
		if value.Kind() != 'n' && !slices.Contains(ignored, name) && !isNeutral(value, neutral[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if allowed, known := neutral[name]; known {
			v.add(name, "%s is not supported: leave it out or give %s", name, strings.Join(allowed, " or "))
		} else {
			v.add(name, "%s is not supported", escape(name))
		}
	}
}

// isNeutral compares numbers by value and everything else as compact JSON.
func isNeutral(value jsontext.Value, allowed []string) bool {
	value = value.Clone()
	if value.Compact() != nil {
		return false
	}
	for _, want := range allowed {
		if string(value) == want {
			return true
		}
		if a, err := strconv.ParseFloat(string(value), 64); err == nil {
			if b, err := strconv.ParseFloat(want, 64); err == nil && a == b {
				return true
			}
		}
	}
	return false
}
