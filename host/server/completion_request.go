package server

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
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
	Temperature   *float64       `json:"temperature"`
	TopP          *float64       `json:"top_p"`
	Seed          *int64         `json:"seed"`
	Stream        bool           `json:"stream"`
	StreamOptions *streamOptions `json:"stream_options"`
	Logprobs      *int64         `json:"logprobs"`
	Echo          bool           `json:"echo"`
	Stop          jsontext.Value `json:"stop"`

	Rest map[string]jsontext.Value `json:",embed"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
	Continuous   bool `json:"continuous_usage_stats"`
	Obfuscation  bool `json:"include_obfuscation"` // padding against eavesdroppers of a hosted API: there is none to turn off
}

// ignored are fields that cannot change an answer.
var ignored = []string{"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
	"request_id", "priority", "cache_salt"}

// neutral are the values of unsupported fields that ask for nothing. Any other value would be a silent no-op, so it is refused.
var neutral = map[string][]string{
	"n": {"1"}, "best_of": {"1"}, "suffix": {`""`}, "logit_bias": {"{}"}, "presence_penalty": {"0"}, "frequency_penalty": {"0"},
	"repetition_penalty": {"1"}, "length_penalty": {"1"}, "top_k": {"0", "-1"}, "min_p": {"0"}, "min_tokens": {"0"}, "ignore_eos": {"false"},
	"use_beam_search": {"false"}, "stop_token_ids": {"[]"}, "bad_words": {"[]"}, "include_stop_str_in_output": {"false"},
	"skip_special_tokens": {"true"}, "spaces_between_special_tokens": {"true"}, "add_special_tokens": {"true"},
	"return_tokens_as_token_ids": {"false"}, "return_token_ids": {"false"}, "response_format": {`{"type":"text"}`},
}

// completion is a request that was found good.
type completion struct {
	model    Model
	request  *backendpb.GenerateRequest
	stops    []string
	echo     bool
	stream   bool
	usage    bool // a stream ends with the usage
	template [2]int
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

// completion checks a request against the models, the tokenizer and the limits.
func (s *Server) completion(body *completionRequest) (*completion, error) {
	if body.Model == "" {
		return nil, refuse(http.StatusBadRequest, "model", "model is missing: GET /v1/models lists them")
	}
	model, ok := s.find(body.Model)
	if !ok {
		return nil, &apiError{status: http.StatusNotFound, code: fault.IONotFound, param: "model",
			message: "the model " + escape(body.Model) + " does not exist: GET /v1/models lists those that do"}
	}
	var wrong violations
	wrong.rest(body.Rest)
	limits := s.engine.Limits()
	c := &completion{model: model, echo: body.Echo, stream: body.Stream}
	c.request = &backendpb.GenerateRequest{Stop: limits.EOS, Logprobs: -1, Temperature: 1}
	if model.Parent != "" {
		c.request.Alias = model.ID
	}
	wrong.sampling(body, c.request)
	c.stops = wrong.stops(body.Stop)
	if body.StreamOptions != nil {
		c.usage = body.StreamOptions.IncludeUsage
		if !body.Stream {
			wrong.add("stream_options", "stream_options is only for stream: true")
		}
		if body.StreamOptions.Continuous {
			wrong.add("stream_options.continuous_usage_stats", "continuous_usage_stats is not supported: it must be false")
		}
	}
	if body.Logprobs != nil {
		if *body.Logprobs < 0 || *body.Logprobs > maxLogprobs {
			wrong.add("logprobs", "logprobs %d is outside 0 to %d", *body.Logprobs, maxLogprobs)
		} else {
			c.request.Logprobs = int32(*body.Logprobs)
			c.request.PromptLogprobs = body.Echo
		}
	}
	c.prompt(s, body.Prompt, limits, &wrong)
	c.length(body.MaxTokens, limits, &wrong)
	return c, wrong.err()
}

// rest refuses every field that asks for what is not supported, by name.
func (v *violations) rest(fields map[string]jsontext.Value) {
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

func (v *violations) sampling(body *completionRequest, request *backendpb.GenerateRequest) {
	if body.Temperature != nil {
		request.Temperature = *body.Temperature
		if request.Temperature < 0 {
			v.add("temperature", "temperature %v is negative", request.Temperature)
		}
	}
	if body.TopP != nil {
		request.TopP = *body.TopP
		if request.TopP <= 0 || request.TopP > 1 {
			v.add("top_p", "top_p %v is not above 0 and at most 1", request.TopP)
		}
	}
	switch {
	case body.Seed != nil:
		request.Seed = uint64(*body.Seed)
	case request.Temperature > 0:
		request.Seed = rand.Uint64()
	}
}

// stops reads a string, or an array of them.
func (v *violations) stops(value jsontext.Value) []string {
	var stops []string
	switch kind := value.Kind(); {
	case len(value) == 0 || kind == 'n':
		return nil
	case kind == '"':
		stops = make([]string, 1)
		if json.Unmarshal(value, &stops[0]) != nil {
			stops = nil
		}
	case json.Unmarshal(value, &stops) != nil:
		v.add("stop", "stop is not a string or an array of strings")
		return nil
	}
	if len(stops) > maxStops {
		v.add("stop", "%d stop strings: at most %d are supported", len(stops), maxStops)
	}
	for _, stop := range stops {
		if stop == "" || len(stop) > maxStopBytes {
			v.add("stop", "a stop string of %d bytes: want 1 to %d", len(stop), maxStopBytes)
		}
	}
	return stops
}

// prompt reads a string, token ids, or an array of one of them.
func (c *completion) prompt(s *Server, value jsontext.Value, limits Limits, wrong *violations) {
	const want = "prompt is not a string, an array of token ids, or an array of one of them"
	if len(value) == 0 || value.Kind() == 'n' {
		wrong.add("prompt", "prompt is missing")
		return
	}
	if value.Kind() == '[' {
		// The value was checked when the body was read, so that its parts can be read without looking at errors.
		items := jsontext.NewDecoder(bytes.NewReader(value))
		_, _ = items.ReadToken()
		if kind := items.PeekKind(); kind != '0' && kind != ']' {
			value, _ = items.ReadValue()
			value = value.Clone()
			if items.PeekKind() != ']' {
				wrong.add("prompt", "more than one prompt in a request is not supported: send them one by one")
				return
			}
		}
	}
	switch value.Kind() {
	case '"':
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			wrong.add("prompt", want)
			return
		}
		tok := s.engine.Tokenizer()
		c.request.Prompt = tok.Encode(text, true)
		c.template[0], c.template[1] = tok.Template()
	case '[':
		if err := json.Unmarshal(value, &c.request.Prompt); err != nil {
			wrong.add("prompt", want)
			return
		}
		for i, id := range c.request.Prompt {
			if id < 0 || int(id) >= limits.VocabSize {
				wrong.add("prompt", "token id %d at %d is outside 0 to %d", id, i, limits.VocabSize-1)
				return
			}
		}
	default:
		wrong.add("prompt", want)
		return
	}
	if len(c.request.Prompt) == 0 {
		wrong.add("prompt", "the prompt has no tokens")
	}
}

// length sets max_tokens to what the context has room for.
func (c *completion) length(asked *int64, limits Limits, wrong *violations) {
	prompt := int64(len(c.request.Prompt))
	room := int64(limits.MaxPositions) - prompt
	tokens := min(defaultMaxTokens, max(room, 1))
	if asked != nil {
		tokens = *asked
	}
	switch {
	case tokens < 0 || tokens == 0 && !c.echo:
		wrong.add("max_tokens", "max_tokens %d is not positive; 0 is allowed with echo", tokens)
	case tokens > math.MaxInt32 || tokens > room:
		wrong.add("max_tokens", "the model's context is %d tokens: the prompt has %d and max_tokens asks for %d more", limits.MaxPositions, prompt, tokens)
	default:
		c.request.MaxTokens = int32(tokens)
	}
}
