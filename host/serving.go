package host

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Serving is a base resident in a backend, and the adapters that are live on it. It implements server.Engine.
//
// Two locks: change is held by whoever changes what an alias means, one at a time; state guards the table of aliases and is never held
// over a call. Staging, which can take minutes, holds neither, so the way back is never behind it. A restart of the backend replays the
// table and takes only state, so it cannot wait for a change that itself waits for the backend.
type Serving struct {
	host       *Host
	base       *base.Base
	name       string // the base's model name
	started    time.Time
	tokenizer  *tokenizer.Tokenizer
	supervisor *backend.Supervisor
	described  *backendpb.DescribeResponse
	restarts   atomic.Int64

	loading sync.RWMutex // held by every Load for as long as it lasts, and for good by Stop
	stopped bool         // under loading

	change   sync.Mutex
	sequence uint64 // of the last activation, over all aliases, so that a name that was unloaded and comes back goes on counting; under change
	state    sync.RWMutex
	live     map[string]*alias
}

// alias is what a name has meant. The last generation of history is the live one. It is replaced in the table, never changed there.
type alias struct {
	sequence uint64
	history  []*generation
}

func (a *alias) current() *generation { return a.history[len(a.history)-1] }

// generation is a staged merge with everything needed to stage it again: the adapter's bytes are a private copy held open here.
type generation struct {
	checked *Checked
	staged  *merge.Staged
	loaded  time.Time
}

// maxHistory bounds how far back a rollback can go; each generation holds a copy of its adapter in memory.
const maxHistory = 8

// Serve opens a base, starts the backend and loads the base into it. name is what clients call the base. Stop the result.
func (h *Host) Serve(ctx context.Context, baseRef, name string) (*Serving, error) {
	b, err := base.Open(baseRef)
	if err != nil {
		return nil, err
	}
	s := &Serving{host: h, base: b, name: name, started: time.Now(), live: map[string]*alias{}}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return s, nil
}

func (s *Serving) start(ctx context.Context) (err error) {
	if err := s.base.Servable(); err != nil {
		return err
	}
	if s.tokenizer, err = tokenizer.Open(s.base.Dir); err != nil {
		return err
	}
	if err := s.laboratory().fits(); err != nil {
		return err
	}
	s.supervisor, err = backend.Start(ctx, s.host.backend, backend.Options{Log: s.host.log, Restore: s.restore, OnState: func(state backend.State) {
		if state == backend.Restarting {
			s.restarts.Add(1)
		}
	}})
	if err != nil {
		return err
	}
	client, err := s.supervisor.Client(ctx)
	if err == nil {
		s.described, err = s.host.describe(ctx, client)
	}
	if err == nil {
		err = s.host.generates(s.described, s.base)
	}
	if err == nil {
		err = s.restore(ctx, client)
	}
	if err != nil {
		s.supervisor.Stop(context.WithoutCancel(ctx))
	}
	return err
}

// Stop ends the backend, with whatever it is doing, and closes the base and every adapter. Nothing else works afterwards.
func (s *Serving) Stop(ctx context.Context) error {
	s.supervisor.Stop(ctx) // first: what waits for the backend ends, and lets go of the locks
	s.loading.Lock()
	defer s.loading.Unlock()
	s.change.Lock()
	defer s.change.Unlock()
	s.stopped = true
	var errs []error
	s.state.Lock()
	defer s.state.Unlock()
	for _, a := range s.live {
		for _, g := range a.history {
			errs = append(errs, g.checked.Close())
		}
	}
	s.live = map[string]*alias{}
	return errors.Join(append(errs, s.base.Close())...)
}

// generation is what an alias means.
func (s *Serving) generation(name string) (*generation, bool) {
	s.state.RLock()
	defer s.state.RUnlock()
	if a := s.live[name]; a != nil {
		return a.current(), true
	}
	return nil, false
}

func (s *Serving) unknown(name string) error {
	return fault.New(fault.IONotFound, "no adapter is loaded as %q", name).Fix("list what is loaded: tenon ps")
}
