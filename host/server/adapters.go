package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// load answers POST /v1/load_lora_adapter as vLLM does. A name that is live already gets a new generation in one step, so load_inplace has
// no meaning here; the base is the one that is served, whatever base_model_name says.
func (s *Server) load(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name      string         `json:"lora_name"`
		Path      string         `json:"lora_path"`
		InPlace   jsontext.Value `json:"load_inplace"`
		BaseModel jsontext.Value `json:"base_model_name"`
		Is3D      bool           `json:"is_3d_lora_weight"`
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if err := s.checkName("lora_name", body.Name); err != nil {
		return err
	}
	if body.Path == "" {
		return refuse(http.StatusBadRequest, "lora_path", "lora_path is missing: it is the adapter's directory on the server")
	}
	if body.Is3D {
		return refuse(http.StatusBadRequest, "is_3d_lora_weight", "is_3d_lora_weight is not supported")
	}
	rep, err := s.engine.Load(r.Context(), body.Name, body.Path)
	if err != nil {
		s.metrics.loads.WithLabelValues("error").Inc()
		s.log.Warn("load failed", "alias", body.Name, "ref", escape(body.Path), "cause", escape(err.Error()))
		return err
	}
	s.metrics.loads.WithLabelValues(string(rep.Verdict)).Inc()
	s.log.Info("adapter checked", "alias", body.Name, "ref", escape(body.Path), "digest", rep.Adapter.Digest, "verdict", string(rep.Verdict))
	if !rep.Verdict.Open() {
		return refused(rep)
	}
	w.Header().Set("X-Tenon-Verdict", string(rep.Verdict))
	if m, ok := s.find(body.Name); ok {
		w.Header().Set("X-Tenon-Generation", m.Generation)
	}
	writeText(w, fmt.Sprintf("Success: LoRA adapter '%s' added successfully.", body.Name))
	return nil
}

// refused is the answer to a load that the gate said no to: the first finding that closed it, and the report.
func refused(rep *report.Report) error {
	e := &apiError{status: http.StatusUnprocessableEntity, code: fault.PolicyRule, report: rep,
		message: fmt.Sprintf("the gate refused the adapter: verdict %s", rep.Verdict)}
	if rep.Verdict == report.Inconclusive {
		e.code = fault.ModuleFailed
	}
	for _, f := range report.Own(rep).Findings { // a client acts on the code, which is not for a module of somebody else to choose
		if f.Severity == report.DenySeverity {
			e.code = fault.Code(f.Code)
			e.message += ": " + f.Message
			break
		}
	}
	return e
}

// unload answers POST /v1/unload_lora_adapter.
func (s *Server) unload(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name string         `json:"lora_name"`
		ID   jsontext.Value `json:"lora_int_id"` // vLLM's own number, which it ignores too
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if err := s.checkName("lora_name", body.Name); err != nil {
		return err
	}
	if err := s.engine.Unload(r.Context(), body.Name); err != nil {
		return err
	}
	s.log.Info("adapter unloaded", "alias", body.Name)
	writeText(w, fmt.Sprintf("Success: LoRA adapter '%s' removed successfully.", body.Name))
	return nil
}

// rollback answers POST /api/v1/rollback.
func (s *Server) rollback(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Alias string `json:"alias"`
	}
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if err := s.checkName("alias", body.Alias); err != nil {
		return err
	}
	m, err := s.engine.Rollback(r.Context(), body.Alias)
	if err != nil {
		return err
	}
	s.log.Info("adapter rolled back", "alias", body.Alias, "generation", m.Generation)
	writeJSON(w, http.StatusOK, s.adapter(m))
	return nil
}

func (s *Server) checkName(param, name string) error {
	if err := CheckAlias(name, s.base); err != nil {
		return &apiError{status: http.StatusBadRequest, param: param, code: fault.ADName, message: err.Error()}
	}
	return nil
}

// find looks a model up by the name clients use.
func (s *Server) find(id string) (Model, bool) {
	for _, m := range s.engine.Models() {
		if m.ID == id {
			return m, true
		}
	}
	return Model{}, false
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

func (s *Server) models(w http.ResponseWriter, _ *http.Request) error {
	list := struct {
		Object string      `json:"object"`
		Data   []modelCard `json:"data"`
	}{Object: "list"}
	for _, m := range s.engine.Models() {
		list.Data = append(list.Data, modelCard{ID: m.ID, Object: "model", Created: m.Created, OwnedBy: "tenon", Root: m.Root,
			Parent: optional(m.Parent), MaxModelLen: s.engine.Limits().MaxPositions, Generation: m.Generation})
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// adapterView is one live adapter of GET /api/v1/adapters.
type adapterView struct {
	Alias      string         `json:"alias"`
	Ref        string         `json:"ref"`
	Digest     string         `json:"digest"`
	Generation string         `json:"generation"`
	Verdict    report.Verdict `json:"verdict"`
	LoadedAt   string         `json:"loadedAt"` // RFC 3339, UTC
	History    int            `json:"history"`  // generations that a rollback can go back to
	Running    int            `json:"running"`  // completions
	Waiting    int            `json:"waiting"`
}

func (s *Server) adapter(m Model) adapterView {
	running, waiting := s.traffic.of(m.ID)
	return adapterView{Alias: m.ID, Ref: m.Root, Digest: m.Digest, Generation: m.Generation, Verdict: m.Verdict,
		LoadedAt: time.Unix(m.Created, 0).UTC().Format(time.RFC3339), History: m.History, Running: running, Waiting: waiting}
}

// adapterList is the answer of GET /api/v1/adapters.
type adapterList struct {
	Backend  backendView   `json:"backend"`
	Base     baseView      `json:"base"`
	Adapters []adapterView `json:"adapters"`
}

type backendView struct {
	State    string `json:"state"`
	Ready    bool   `json:"ready"`
	Name     string `json:"name"`
	Device   string `json:"device"`
	Restarts int64  `json:"restarts"`
	Running  int    `json:"running"`
	Waiting  int    `json:"waiting"`
}

type baseView struct {
	Name   string `json:"name"`
	Ref    string `json:"ref"`
	Digest string `json:"digest"`
}

func (s *Server) adapters(w http.ResponseWriter, _ *http.Request) error {
	state := s.engine.Status()
	list := adapterList{Backend: backendView{State: state.State, Ready: state.Ready, Name: state.Backend, Device: state.Device,
		Restarts: state.Restarts, Running: state.Running, Waiting: state.Waiting}}
	for _, m := range s.engine.Models() {
		if m.Parent == "" {
			list.Base = baseView{Name: m.ID, Ref: m.Root, Digest: m.Digest}
			continue
		}
		list.Adapters = append(list.Adapters, s.adapter(m))
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// report answers GET /api/v1/report?alias=….
func (s *Server) report(w http.ResponseWriter, r *http.Request) error {
	alias := r.URL.Query().Get("alias")
	if err := s.checkName("alias", alias); err != nil {
		return err
	}
	rep, ok := s.engine.Report(alias)
	if !ok {
		return &apiError{status: http.StatusNotFound, code: fault.IONotFound, param: "alias",
			message: fmt.Sprintf("no adapter is loaded as %s", escape(alias))}
	}
	writeJSON(w, http.StatusOK, rep)
	return nil
}
