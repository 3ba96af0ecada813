package server

import (
	"math/rand/v2"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// sampling is what requests for completions and for chats say about the texts they want in the same way.
type sampling struct {
	n             *int64
	temperature   *float64
	topP          *float64
	seed          *int64
	stop          jsontext.Value
	stopTokenIDs  []int32
	ignoreEOS     bool
	stream        bool
	streamOptions *streamOptions
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
	Continuous   bool `json:"continuous_usage_stats"`
	Obfuscation  bool `json:"include_obfuscation"` // padding against eavesdroppers of a hosted API: there is none to turn off
}

// maxChoices bounds the texts of one request: prompts times n.
const maxChoices = 64

// sampled checks what a request says, and makes of it the texts that are the same but for their prompts. n is how many each prompt gets.
func (v *violations) sampled(c *completion, body sampling, limits Limits) (request *backendpb.GenerateRequest, n int) {
	request = &backendpb.GenerateRequest{Stop: slices.Clone(limits.EOS), Logprobs: -1, Temperature: 1}
	if c.model.Parent != "" {
		request.Alias = c.model.ID
	}
	if n = 1; body.n != nil {
		if *body.n < 1 || *body.n > maxChoices {
			v.add("n", "n %d is outside 1 to %d", *body.n, maxChoices)
		} else {
			n = int(*body.n)
		}
	}
	v.numbers(body, request)
	c.stops = v.stops(body.stop)
	if body.ignoreEOS {
		request.Stop = nil
	}
	if len(body.stopTokenIDs) > maxChoices {
		v.add("stop_token_ids", "%d stop tokens: at most %d are supported", len(body.stopTokenIDs), maxChoices)
	}
	for _, id := range body.stopTokenIDs {
		if id < 0 || int(id) >= limits.VocabSize {
			v.add("stop_token_ids", "stop token %d is outside 0 to %d", id, limits.VocabSize-1)
		} else if !slices.Contains(request.Stop, id) {
			request.Stop = append(request.Stop, id)
		}
	}
	c.stream = body.stream
	if body.streamOptions != nil {
		c.usage = body.streamOptions.IncludeUsage
		if !body.stream {
			v.add("stream_options", "stream_options is only for stream: true")
		}
		if body.streamOptions.Continuous {
			v.add("stream_options.continuous_usage_stats", "continuous_usage_stats is not supported: it must be false")
		}
	}
	return request, n
}

func (v *violations) numbers(body sampling, request *backendpb.GenerateRequest) {
	if body.temperature != nil {
		request.Temperature = *body.temperature
		if request.Temperature < 0 {
			v.add("temperature", "temperature %v is negative", request.Temperature)
		}
	}
	if body.topP != nil {
		request.TopP = *body.topP
		if request.TopP <= 0 || request.TopP > 1 {
			v.add("top_p", "top_p %v is not above 0 and at most 1", request.TopP)
		}
	}
	switch {
	case body.seed != nil:
		request.Seed = uint64(*body.seed)
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
