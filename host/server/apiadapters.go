package server

import (
	"net/http"
)

// adapters answers GET /api/v1/adapters.
func (s *Server) adapters(w http.ResponseWriter, r *http.Request) error {
	list := adapterList{Backend: s.backend()}
	for _, m := range s.view(r.Context()).Models() {
		if m.Parent == "" {
			list.Base = baseView{Name: m.ID, Ref: m.Root, Digest: m.Digest}
			continue
		}
		list.Adapters = append(list.Adapters, s.adapter(m))
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// showAdapter answers GET /api/v1/adapters/{alias}.
func (s *Server) showAdapter(w http.ResponseWriter, r *http.Request) error {
	name, view := r.PathValue("alias"), s.view(r.Context())
	if _, err := view.own(name); err != nil {
		return err
	}
	m, ok := view.Find(name)
	if !ok {
		return unknown(name)
	}
	writeJSON(w, http.StatusOK, s.adapter(m))
	return nil
}

type activateRequest struct {
	Generation string `json:"generation"`
}

// activateAdapter answers POST /api/v1/adapters/{alias}/activate.
func (s *Server) activateAdapter(w http.ResponseWriter, r *http.Request) error {
	var body activateRequest
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	if body.Generation == "" {
		return refuse(http.StatusBadRequest, "generation", "generation is missing: the adapter's history names those that there are")
	}
	m, err := s.view(r.Context()).Activate(r.Context(), r.PathValue("alias"), body.Generation)
	return s.changed(w, m, err)
}

type rollbackRequest struct {
	Generation string `json:"generation,omitzero" doc:"One that the name meant; the one before the live one if it is not given."`
}

// rollbackAdapter answers POST /api/v1/adapters/{alias}/rollback.
func (s *Server) rollbackAdapter(w http.ResponseWriter, r *http.Request) error {
	var body rollbackRequest
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	m, err := s.view(r.Context()).Rollback(r.Context(), r.PathValue("alias"), body.Generation)
	return s.changed(w, m, err)
}

type unloadAnswer struct {
	Alias string `json:"alias" doc:"It means nothing now."`
}

// unloadAdapter answers DELETE /api/v1/adapters/{alias}.
func (s *Server) unloadAdapter(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("alias")
	if err := s.view(r.Context()).Unload(r.Context(), name); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, unloadAnswer{name})
	return nil
}

// changed answers a change of what an alias means.
func (s *Server) changed(w http.ResponseWriter, m Seen, err error) error {
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, s.adapter(m))
	return nil
}
