package server

import (
	"bytes"
	"net/http"
	"time"

	"github.com/tenon-ml/tenon/host/report"
)

type recordView struct {
	Sequence   uint64         `json:"sequence" doc:"Of the change; 0 for a generation that was never live."`
	Time       time.Time      `json:"time"`
	Actor      string         `json:"actor,omitzero"`
	Action     string         `json:"action" doc:"activate, rollback, unload or stage."`
	State      State          `json:"state,omitzero"`
	Generation string         `json:"generation,omitzero"`
	Digest     string         `json:"digest,omitzero" doc:"Of the adapter."`
	Ref        string         `json:"ref,omitzero"`
	Mode       Mode           `json:"mode,omitzero"`
	Verdict    report.Verdict `json:"verdict,omitzero"`
}

type historyAnswer struct {
	Alias   string       `json:"alias"`
	History []recordView `json:"history" doc:"Newest first; what is staged before that."`
}

// history answers GET /api/v1/adapters/{alias}/history.
func (s *Server) history(w http.ResponseWriter, r *http.Request) error {
	limit, err := numberOf(r, "limit", defaultPage, maxPage)
	if err != nil {
		return err
	}
	name := r.PathValue("alias")
	records, _, err := s.view(r.Context()).History(r.Context(), name, limit)
	if err != nil {
		return err
	}
	answer := historyAnswer{Alias: name}
	for _, e := range records {
		answer.History = append(answer.History, recordView{e.Sequence, e.Time.UTC(), e.Actor, e.Action, e.State, e.Generation, e.Digest, e.Ref, e.Mode, e.Verdict})
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// report answers GET /api/v1/adapters/{alias}/report.
func (s *Server) report(w http.ResponseWriter, r *http.Request) error {
	format := r.URL.Query().Get("format")
	if format != "" && format != "json" && format != "html" {
		return refuse(http.StatusBadRequest, "format", "%s is no format: it is json or html", escape(format))
	}
	rep, err := s.view(r.Context()).Report(r.Context(), r.PathValue("alias"), r.URL.Query().Get("generation"))
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if format == "html" {
		if err := report.HTML(&page, rep, nil); err != nil {
			return err
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		// The page has a policy of its own, which allows its script. As a document of this server it also gets an origin of its own.
		w.Header().Set("Content-Security-Policy", "sandbox allow-scripts; frame-ancestors 'none'")
	} else {
		if err := report.JSON(&page, rep); err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(page.Bytes()) // the client is gone if this fails
	return nil
}

type residentView struct {
	Generation string   `json:"generation"`
	Aliases    []string `json:"aliases" doc:"That mean it, by name."`
	State      State    `json:"state"`
	Mode       Mode     `json:"mode"`
	Bytes      int64    `json:"bytes"`
	Requests   int      `json:"requests" doc:"Bound to it now; 0 where other tenants use it too."`
}

type generationList struct {
	Generations []residentView `json:"generations"`
}

// generations answers GET /api/v1/generations.
func (s *Server) generations(w http.ResponseWriter, r *http.Request) error {
	var list generationList
	for _, g := range s.view(r.Context()).Generations() {
		list.Generations = append(list.Generations, residentView(g))
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}
