package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/tenon-ml/tenon/host/report"
)

// Pages of lists.
const (
	defaultPage = 100
	maxPage     = 1000
)

// adapterView is one alias.
type adapterView struct {
	Alias      string         `json:"alias"`
	Shared     bool           `json:"shared" doc:"The operator's: a tenant may use it, and not change it."`
	State      State          `json:"state"`
	Failure    string         `json:"failure,omitzero" doc:"Why, where the state is failed."`
	Ref        string         `json:"ref" doc:"As it was loaded."`
	Digest     string         `json:"digest" doc:"Of the adapter."`
	Generation string         `json:"generation"`
	Sequence   uint64         `json:"sequence" doc:"Of the activation. It grows with every change of any alias."`
	Verdict    report.Verdict `json:"verdict"`
	Mode       Mode           `json:"mode"`
	ModeReason string         `json:"modeReason" doc:"Why this mode, for people."`
	Bytes      int64          `json:"bytes" doc:"Memory of its own, beyond the base."`
	LoadedAt   time.Time      `json:"loadedAt"`
	History    int            `json:"history" doc:"Steps back that a rollback without a generation can take, one after another."`
	Running    int            `json:"running" doc:"Completions."`
	Waiting    int            `json:"waiting"`
}

func (s *Server) adapter(m Seen) adapterView {
	running, waiting := s.traffic.of(m.ID)
	state := m.State
	if state == "" {
		state = StateLive
	}
	return adapterView{Alias: m.Name, Shared: m.Shared, State: state, Failure: visible(m.Failure), Ref: m.Root, Digest: m.Digest, Generation: m.Generation,
		Sequence: m.Sequence, Verdict: m.Verdict, Mode: m.Mode, ModeReason: m.ModeReason, Bytes: m.Bytes,
		LoadedAt: time.Unix(m.Created, 0).UTC(), History: m.History, Running: running, Waiting: waiting}
}

// adapterList is the answer of GET /api/v1/adapters.
type adapterList struct {
	Backend  backendView   `json:"backend"`
	Base     baseView      `json:"base"`
	Adapters []adapterView `json:"adapters" doc:"By name."`
}

type baseView struct {
	Name   string `json:"name"`
	Ref    string `json:"ref"`
	Digest string `json:"digest"`
}

// backendView is the answer of GET /api/v1/status.
type backendView struct {
	State       string `json:"state" doc:"For people: ready, restarting, …"`
	Ready       bool   `json:"ready"`
	Name        string `json:"name"`
	Device      string `json:"device"`
	Restarts    int64  `json:"restarts" doc:"Since the server started."`
	Running     int    `json:"running" doc:"Requests in the backend."`
	Waiting     int    `json:"waiting" doc:"Requests queued in it."`
	MemoryUsed  int64  `json:"memoryUsed" doc:"Of generations, beyond the base, in bytes."`
	MemoryLimit int64  `json:"memoryLimit" doc:"That they may use; 0 where there is no limit."`
	CacheBytes  int64  `json:"cacheBytes" doc:"Keys and values of texts."`
}

func (s *Server) backend() backendView {
	state := s.engine.Status()
	return backendView{State: state.State, Ready: state.Ready, Name: state.Backend, Device: state.Device, Restarts: state.Restarts,
		Running: state.Running, Waiting: state.Waiting, MemoryUsed: state.MemoryUsed, MemoryLimit: state.MemoryLimit, CacheBytes: state.CacheBytes}
}

type versionView struct {
	Version string `json:"version"`
	Base    string `json:"base"`
}

// numberOf reads a parameter of the query that is a number from 1 to most.
func numberOf(r *http.Request, name string, otherwise, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, refuse(http.StatusBadRequest, name, "%s is not a number from 1 to %d", escape(text), most)
	}
	return n, nil
}
