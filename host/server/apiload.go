package server

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

type loadRequest struct {
	Ref    string `json:"ref" doc:"The adapter's directory on the server."`
	Mode   Mode   `json:"mode,omitzero" doc:"auto if it is not given."`
	Staged bool   `json:"staged,omitzero" doc:"Stop when it is staged and verified: activate makes it live."`
}

type loadAnswer struct {
	Adapter adapterView    `json:"adapter"`
	Report  *report.Report `json:"report"`
}

// loadAdapter answers POST /api/v1/adapters/{alias}.
func (s *Server) loadAdapter(w http.ResponseWriter, r *http.Request) error {
	var body loadRequest
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	name := r.PathValue("alias")
	if body.Ref == "" {
		return refuse(http.StatusBadRequest, "ref", "ref is missing: it is the adapter's directory on the server")
	}
	switch body.Mode {
	case "", ModeAuto, ModeMerged, ModeUnmerged:
	default:
		return refuse(http.StatusBadRequest, "mode", "%s is no mode: it is auto, merged or unmerged", escape(string(body.Mode)))
	}
	loaded, err := s.gate(r, Load{Alias: name, Ref: body.Ref, Mode: body.Mode, Staged: body.Staged})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, loadAnswer{s.adapter(Seen{Model: loaded.Model, Name: name}), loaded.Report})
	return nil
}

// gate loads. Its error is the answer; what the gate refused is one. The engine logs what has changed and what was refused, whoever asked for it;
// what came to no end is logged here, once.
func (s *Server) gate(r *http.Request, load Load) (*Loaded, error) {
	loaded, err := s.view(r.Context()).Load(r.Context(), load)
	if err != nil {
		failed, level := *toAPI(err), slog.LevelWarn
		if failed.status >= 500 {
			level = slog.LevelError
		}
		if !failed.quiet {
			s.log.Log(r.Context(), level, "load failed", "alias", plain(load.Alias), "ref", plain(load.Ref), "status", failed.status,
				"code", string(failed.code), "cause", plain(failed.message))
		}
		failed.quiet = true
		return nil, &failed
	}
	if !loaded.Report.Verdict.Open() {
		return nil, refused(loaded.Report)
	}
	return loaded, nil
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
