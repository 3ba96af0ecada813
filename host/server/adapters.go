package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
)

// loadBody is what vLLM's clients send. A name that is live already gets a new generation in one step, so load_inplace has no meaning here;
// the base is the one that is served, whatever base_model_name says.
type loadBody struct {
	Name      string         `json:"lora_name"`
	Path      string         `json:"lora_path"`
	InPlace   jsontext.Value `json:"load_inplace,omitzero"`
	BaseModel jsontext.Value `json:"base_model_name,omitzero"`
	Is3D      bool           `json:"is_3d_lora_weight,omitzero"`
}

// load answers POST /v1/load_lora_adapter as vLLM does.
func (s *Server) load(w http.ResponseWriter, r *http.Request) error {
	var body loadBody
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if err := s.checkName(r, body.Name); err != nil {
		return err
	}
	if body.Path == "" {
		return refuse(http.StatusBadRequest, "lora_path", "lora_path is missing: it is the adapter's directory on the server")
	}
	if body.Is3D {
		return refuse(http.StatusBadRequest, "is_3d_lora_weight", "is_3d_lora_weight is not supported")
	}
	loaded, err := s.gate(r, Load{Alias: body.Name, Ref: body.Path})
	if err != nil {
		return err
	}
	w.Header().Set("X-Tenon-Verdict", string(loaded.Report.Verdict))
	w.Header().Set("X-Tenon-Generation", loaded.Model.Generation)
	writeText(w, fmt.Sprintf("Success: LoRA adapter '%s' added successfully.", body.Name))
	return nil
}

// unloadBody is what vLLM's clients send.
type unloadBody struct {
	Name string         `json:"lora_name"`
	ID   jsontext.Value `json:"lora_int_id,omitzero"` // vLLM's own number, which it ignores too
}

// unload answers POST /v1/unload_lora_adapter.
func (s *Server) unload(w http.ResponseWriter, r *http.Request) error {
	var body unloadBody
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if err := s.checkName(r, body.Name); err != nil {
		return err
	}
	if err := s.view(r.Context()).Unload(r.Context(), body.Name); err != nil {
		return err
	}
	writeText(w, fmt.Sprintf("Success: LoRA adapter '%s' removed successfully.", body.Name))
	return nil
}

// checkName refuses a lora_name that can be none.
func (s *Server) checkName(r *http.Request, name string) error {
	_, err := s.view(r.Context()).own(name)
	if err == nil {
		return nil
	}
	e := toAPI(err)
	e.param = "lora_name"
	return e
}

// find looks a model up by the name that whoever asks has for it. The Model's ID is the engine's name.
func (s *Server) find(ctx context.Context, name string) (Model, bool) {
	m, ok := s.view(ctx).Find(name)
	return m.Model, ok
}

// modelCard is one entry of GET /v1/models, as vLLM writes it, and the generation.
type modelCard struct {
	ID          string   `json:"id"`
	Object      string   `json:"object"`
	Created     int64    `json:"created"`
	OwnedBy     string   `json:"owned_by"`
	Root        string   `json:"root"`
	Parent      *string  `json:"parent"`
	MaxModelLen int      `json:"max_model_len"`
	Permission  []string `json:"permission"`
	Generation  string   `json:"generation"`
}

type modelList struct {
	Object string      `json:"object"`
	Data   []modelCard `json:"data"`
}

// models answers GET /v1/models. An alias that could not be brought back answers no completion, so it is not there.
func (s *Server) models(w http.ResponseWriter, r *http.Request) error {
	list := modelList{Object: "list"}
	for _, m := range s.view(r.Context()).Models() {
		if m.answers() {
			list.Data = append(list.Data, s.card(m))
		}
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// card is a model as vLLM lists it.
func (s *Server) card(m Seen) modelCard {
	return modelCard{ID: m.Name, Object: "model", Created: m.Created, OwnedBy: "tenon", Root: m.Root, Parent: optional(m.Parent),
		MaxModelLen: s.engine.Limits().MaxPositions, Generation: m.Generation}
}

// model answers GET /v1/models/{model}.
func (s *Server) model(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	for _, m := range s.view(r.Context()).Models() {
		if m.Name == name && m.answers() {
			writeJSON(w, http.StatusOK, s.card(m))
			return nil
		}
	}
	return unknownModel(name)
}
