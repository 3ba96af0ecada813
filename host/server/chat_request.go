package server

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/chat"
	"github.com/tenon-ml/tenon/host/fault"
)

// maxMessages bounds a conversation.
const maxMessages = 1024

// chatRequest is the body of POST /v1/chat/completions. What it does not name is either in ignored, or must have its neutral value.
type chatRequest struct {
	Model               string                    `json:"model"`
	Messages            []chatMessage             `json:"messages"`
	MaxTokens           *int64                    `json:"max_tokens"`
	MaxCompletionTokens *int64                    `json:"max_completion_tokens"`
	N                   *int64                    `json:"n"`
	Temperature         *float64                  `json:"temperature"`
	TopP                *float64                  `json:"top_p"`
	Seed                *int64                    `json:"seed"`
	Stream              bool                      `json:"stream"`
	StreamOptions       *streamOptions            `json:"stream_options"`
	Logprobs            bool                      `json:"logprobs"`
	TopLogprobs         *int64                    `json:"top_logprobs"`
	Stop                jsontext.Value            `json:"stop"`
	StopTokenIDs        []int32                   `json:"stop_token_ids"`
	IgnoreEOS           bool                      `json:"ignore_eos"`
	Answer              *bool                     `json:"add_generation_prompt"`
	TemplateOptions     map[string]jsontext.Value `json:"chat_template_kwargs"`

	Rest map[string]jsontext.Value `json:",embed"`
}

// chatMessage is one of a conversation.
type chatMessage struct {
	Role       string         `json:"role"`
	Content    jsontext.Value `json:"content"`
	Name       string         `json:"name"`
	ToolCallID string         `json:"tool_call_id"`

	Rest map[string]jsontext.Value `json:",embed"`
}

var (
	neutralChat    = map[string][]string{}
	neutralMessage = map[string][]string{"tool_calls": {"[]"}, "annotations": {"[]"}, "refusal": {`""`}}
)

func init() {
	maps.Copy(neutralChat, neutral)
	delete(neutralChat, "best_of")
	delete(neutralChat, "suffix")
	maps.Copy(neutralChat, map[string][]string{"tools": {"[]"}, "functions": {"[]"}, "tool_choice": {`"none"`}, "parallel_tool_calls": {"true", "false"},
		"modalities": {`["text"]`}, "add_special_tokens": {"false"}, "continue_final_message": {"false"}, "echo": {"false"},
		"documents": {"[]"}})
}

// roles are who speaks in a message.
var roles = []string{"system", "user", "assistant", "tool"}

// chatCompletion checks a request and makes a prompt of its messages.
func (s *Server) chatCompletion(ctx context.Context, body *chatRequest) (*completion, error) {
	model, err := s.asked(ctx, body.Model)
	if err != nil {
		return nil, err
	}
	if s.template == nil {
		return nil, refuse(http.StatusBadRequest, "messages", "the base has no chat template: write the prompt yourself and send it to "+
			"/v1/completions, or start the server with --chat-template")
	}
	var wrong violations
	wrong.rest(body.Rest, neutralChat)
	limits := s.engine.Limits()
	c := &completion{model: model, name: body.Model}
	request, n := wrong.sampled(c, sampling{body.N, body.Temperature, body.TopP, body.Seed, body.Stop, body.StopTokenIDs, body.IgnoreEOS,
		body.Stream, body.StreamOptions}, limits)
	if body.Logprobs {
		request.Logprobs = 0
	}
	if top := body.TopLogprobs; top != nil {
		switch {
		case !body.Logprobs && *top != 0:
			wrong.add("top_logprobs", "top_logprobs is only for logprobs: true")
		case *top < 0 || *top > maxLogprobs:
			wrong.add("top_logprobs", "top_logprobs %d is outside 0 to %d", *top, maxLogprobs)
		case body.Logprobs:
			request.Logprobs = int32(*top)
		}
	}
	conversation := chat.Conversation{Messages: wrong.messages(body.Messages), Answer: body.Answer == nil || *body.Answer,
		Options: wrong.templateOptions(body.TemplateOptions)}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	p, err := s.chatPrompt(ctx, conversation)
	if err != nil {
		return nil, err
	}
	name, asked := "max_tokens", body.MaxTokens
	if body.MaxCompletionTokens != nil {
		name, asked = "max_completion_tokens", body.MaxCompletionTokens
	}
	tokens := wrong.length(name, asked, limits.MaxPositions, len(p.ids), false, limits)
	if len(wrong) == 0 {
		c.texts(request, []prompt{p}, n, []int32{tokens}, &wrong)
	}
	return c, wrong.err()
}

// chatPrompt renders a conversation and makes ids of it.
func (s *Server) chatPrompt(ctx context.Context, conversation chat.Conversation) (prompt, error) {
	text, err := s.template.Render(ctx, conversation)
	if err != nil {
		if fault.ClassOf(err) == fault.Usage {
			return prompt{}, refuse(http.StatusBadRequest, "messages", "%v", err)
		}
		return prompt{}, err
	}
	p := prompt{ids: chat.Encode(s.engine.Tokenizer(), text), text: true}
	if len(p.ids) == 0 {
		return p, refuse(http.StatusBadRequest, "messages", "the prompt has no tokens")
	}
	return p, nil
}

// messages checks a conversation.
func (v *violations) messages(in []chatMessage) []chat.Message {
	switch {
	case len(in) == 0:
		v.add("messages", "messages is missing or empty")
		return nil
	case len(in) > maxMessages:
		v.add("messages", "%d messages: at most %d are supported", len(in), maxMessages)
		return nil
	}
	out := make([]chat.Message, len(in))
	for i, m := range in {
		place := fmt.Sprintf("messages.%d", i)
		if !slices.Contains(roles, m.Role) {
			v.add(place+".role", "%s.role %s is not supported: want system, user, assistant or tool", place, escape(m.Role))
		}
		before := len(*v)
		v.rest(m.Rest, neutralMessage)
		for _, e := range (*v)[before:] {
			e.param, e.message = place+"."+e.param, place+"."+e.message
		}
		out[i] = chat.Message{Role: m.Role, Name: m.Name, ToolCallID: m.ToolCallID}
		v.content(place+".content", m.Content, &out[i])
	}
	return out
}

// content reads a string, or an array of parts that are texts.
func (v *violations) content(place string, value jsontext.Value, m *chat.Message) {
	switch value.Kind() {
	case '"':
		if err := json.Unmarshal(value, &m.Content); err != nil {
			v.add(place, "%s is not a string", place)
		}
		return
	case '[':
	default:
		v.add(place, "%s is not a string or an array of text parts", place)
		return
	}
	m.Parts = []string{}
	parts := jsontext.NewDecoder(bytes.NewReader(value))
	_, _ = parts.ReadToken()
	for i := 0; parts.PeekKind() != ']'; i++ {
		raw, err := parts.ReadValue()
		var part struct {
			Type string                    `json:"type"`
			Text *string                   `json:"text"`
			Rest map[string]jsontext.Value `json:",embed"`
		}
		if err == nil {
			err = json.Unmarshal(raw, &part)
		}
		where := fmt.Sprintf("%s.%d", place, i)
		switch {
		case err != nil:
			v.add(where, "%s is not a part of a content", where)
			return
		case part.Type != "text":
			v.add(where+".type", "%s.type %s is not supported: only text is", where, escape(part.Type))
		case part.Text == nil:
			v.add(where+".text", "%s.text is missing", where)
		default:
			m.Parts = append(m.Parts, *part.Text)
		}
	}
}

// templateOptions are variables for the template: only plain values, and none of those that it has from here.
func (v *violations) templateOptions(in map[string]jsontext.Value) map[string]any {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		place := "chat_template_kwargs." + name
		var value any
		switch kind := in[name].Kind(); {
		case slices.Contains([]string{"messages", "add_generation_prompt", "tools", "documents"}, name):
			v.add(place, "%s is not set in this way", escape(place))
		case kind == '{' || kind == '[':
			v.add(place, "%s is not a string, a number, a boolean or null", escape(place))
		case json.Unmarshal(in[name], &value) != nil:
			v.add(place, "%s has a wrong value", escape(place))
		default:
			if f, ok := value.(float64); ok && f == float64(int64(f)) && !bytes.ContainsAny(in[name], ".eE") {
				value = int64(f)
			}
			out[name] = value
		}
	}
	return out
}
