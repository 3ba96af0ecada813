package server

import (
	"net/http"

	"github.com/tenon-ml/tenon/host/chat"
)

// tokenizeRequest is the body of POST /tokenize, as vLLM has it: a prompt, or messages.
type tokenizeRequest struct {
	Model            string        `json:"model"`
	Prompt           *string       `json:"prompt"`
	Messages         []chatMessage `json:"messages"`
	AddSpecial       *bool         `json:"add_special_tokens"`
	Answer           *bool         `json:"add_generation_prompt"`
	ReturnTokenNames bool          `json:"return_token_strs"`
}

type tokenizeAnswer struct {
	Count       int      `json:"count"`
	MaxModelLen int      `json:"max_model_len"`
	Tokens      []int32  `json:"tokens"`
	Names       []string `json:"token_strs,omitzero"`
}

// tokenize answers POST /tokenize.
func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) error {
	var body tokenizeRequest
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if body.Model != "" {
		if _, err := s.asked(r.Context(), body.Model); err != nil {
			return err
		}
	}
	tok := s.engine.Tokenizer()
	answer := tokenizeAnswer{MaxModelLen: s.engine.Limits().MaxPositions}
	var wrong violations
	switch {
	case (body.Prompt == nil) == (body.Messages == nil):
		return refuse(http.StatusBadRequest, "prompt", "want one of prompt and messages")
	case body.Prompt != nil:
		answer.Tokens = tok.Encode(*body.Prompt, body.AddSpecial == nil || *body.AddSpecial)
	case s.template == nil:
		return refuse(http.StatusBadRequest, "messages", "the base has no chat template")
	default:
		conversation := chat.Conversation{Messages: wrong.messages(body.Messages), Answer: body.Answer == nil || *body.Answer}
		if body.AddSpecial != nil && *body.AddSpecial {
			wrong.add("add_special_tokens", "add_special_tokens is not supported for messages: the template writes them")
		}
		if err := wrong.err(); err != nil {
			return err
		}
		p, err := s.chatPrompt(r.Context(), conversation)
		if err != nil {
			return err
		}
		answer.Tokens = p.ids
	}
	if answer.Count = len(answer.Tokens); body.ReturnTokenNames {
		for _, id := range answer.Tokens {
			answer.Names = append(answer.Names, name(tok, id))
		}
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// detokenizeRequest is the body of POST /detokenize.
type detokenizeRequest struct {
	Model  string  `json:"model"`
	Tokens []int32 `json:"tokens"`
}

type detokenizeAnswer struct {
	Prompt string `json:"prompt"`
}

// detokenize answers POST /detokenize: the text of ids, special tokens included.
func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) error {
	var body detokenizeRequest
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if body.Model != "" {
		if _, err := s.asked(r.Context(), body.Model); err != nil {
			return err
		}
	}
	vocabulary := s.engine.Limits().VocabSize
	for i, id := range body.Tokens {
		if id < 0 || int(id) >= vocabulary {
			return refuse(http.StatusBadRequest, "tokens", "token id %d at %d is outside 0 to %d", id, i, vocabulary-1)
		}
	}
	writeJSON(w, http.StatusOK, detokenizeAnswer{s.engine.Tokenizer().Decode(body.Tokens, false)})
	return nil
}
