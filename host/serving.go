package host

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Serving is a base resident in a backend, and the adapters that are live on it. It implements server.Engine.
//
// What an alias means is decided by one transaction of the ledger; the table here and the backend follow it. Two locks: change is held from
// that transaction until the backend has followed, by one change at a time; state guards the table and is never held over a call. Checking and
// staging, which can take minutes, hold neither, so the way back is never behind them. A restart of the backend replays the table and takes
// only state, so it cannot wait for a change that itself waits for the backend.
type Serving struct {
	host       *Host                // whose backend it is
	judge      atomic.Pointer[Host] // who decides about loads: JudgeWith replaces it
	base       *base.Base
	name       string // the base's model name
	started    time.Time
	tokenizer  *tokenizer.Tokenizer
	supervisor *backend.Supervisor
	described  *backendpb.DescribeResponse
	restarts   atomic.Int64 // of the backend; it numbers the backend's processes
	feed       *server.Feed
	ledger     ledger
	mode       server.Mode // of loads that name none
	memory     int64       // that generations may use, in bytes; 0 is no limit
	turns      *turns
	shelf      *shelf

	running    context.Context // ends with Stop
	stop       context.CancelFunc
	background sync.WaitGroup
	opening    openings
	holds      atomic.Int32 // on saying that it is ready
	draining   atomic.Bool  // nothing new is begun

	onLoad func(*server.Loaded, error) // may be nil

	loading sync.RWMutex // held by every Load for as long as it lasts, and for good by Stop
	stopped bool         // under loading

	change sync.Mutex
	state  sync.RWMutex
	live   map[string]*alias
	staged map[string][]*stagedRecord // complete and verified, but not what the alias means; oldest first

	verdicts map[int64]report.Verdict // by decision; under state
	reasons  map[int64]string         // of the mode, by the decision of the load that chose it; under state
}

// ServeOptions say what to serve.
type ServeOptions struct {
	Base   string      // reference
	Name   string      // what clients call the base
	Data   string      // data directory, where what is live and why is remembered; "" is one of this base's own in State
	State  string      // directory of data directories; "" without Data: nothing is remembered
	Mode   server.Mode // of loads that name none; "" is ModeAuto
	Memory int64       // bytes that generations may use beyond the base; 0 is no limit
	Loads  int         // that are checked and staged at once; 0 is 2

	// OnLoad hears how each load has ended, whoever asked for it. It may be nil.
	OnLoad func(*server.Loaded, error)
}

// Serve serves a base under a name and remembers nothing. Stop the result.
func (h *Host) Serve(ctx context.Context, baseRef, name string) (*Serving, error) {
	return h.ServeWith(ctx, ServeOptions{Base: baseRef, Name: name})
}

// ServeWith opens a base, starts the backend, loads the base into it, and begins to bring back what was live when the data directory was last
// used; Opened waits for that. Stop the result.
func (h *Host) ServeWith(ctx context.Context, o ServeOptions) (*Serving, error) {
	if err := checkMode(o.Mode); err != nil {
		return nil, err
	}
	b, err := base.Open(o.Base)
	if err != nil {
		return nil, err
	}
	s := &Serving{
		host: h, base: b, name: o.Name, onLoad: o.OnLoad, started: time.Now(), feed: server.NewFeed(), mode: cmp.Or(o.Mode, server.ModeAuto),
		turns: newTurns(o.Loads), shelf: newShelf(), live: map[string]*alias{}, staged: map[string][]*stagedRecord{},
		verdicts: map[int64]report.Verdict{}, reasons: map[int64]string{},
	}
	s.judge.Store(h)
	s.running, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.start(ctx, o); err != nil {
		s.stop()
		if s.ledger != nil {
			err = errors.Join(err, s.ledger.Close())
		}
		return nil, errors.Join(err, b.Close())
	}
	return s, nil
}

func (s *Serving) start(ctx context.Context, o ServeOptions) (err error) {
	if err := s.base.Servable(); err != nil {
		return err
	}
	if s.tokenizer, err = tokenizer.Open(s.base.Dir); err != nil {
		return err
	}
	if err := s.laboratory().fits(); err != nil {
		return err
	}
	if s.ledger, err = openLedger(ctx, o, s.base, s.host); err != nil { // before the backend: it may be another host's
		return err
	}
	s.supervisor, err = backend.Start(ctx, s.host.backend, backend.Options{Log: s.host.log, Restore: s.restore, OnState: s.backendIs})
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
	var resident uint64
	if err == nil {
		resident, err = loadBase(ctx, client, s.base)
	}
	if err == nil {
		s.memory = memoryLimit(o.Memory, s.described, resident)
		err = s.reconcile(ctx)
	}
	if err != nil {
		s.supervisor.Stop(context.WithoutCancel(ctx))
	}
	return err
}

// backendIs hears every change of the backend's state.
func (s *Serving) backendIs(state backend.State) {
	if state == backend.Restarting {
		s.restarts.Add(1)
	}
	s.feed.Publish(server.Event{Kind: server.KindBackend, Message: state.String()})
}

// JudgeWith has h decide about every load from now on; those that have begun end with whom they began with. The backend stays.
func (s *Serving) JudgeWith(h *Host) error {
	lab := s.laboratory()
	lab.host = h
	if err := lab.fits(); err != nil {
		return err
	}
	s.judge.Store(h)
	return nil
}

// Stop ends the backend, with whatever it is doing, and closes the base, every adapter and the data directory. Nothing else works afterwards.
func (s *Serving) Stop(ctx context.Context) error {
	s.stop()
	s.supervisor.Stop(ctx) // first: what waits for the backend ends, and lets go of the locks
	s.loading.Lock()
	defer s.loading.Unlock()
	s.change.Lock()
	defer s.change.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	s.background.Wait()
	var errs []error
	s.state.Lock()
	s.live, s.staged = map[string]*alias{}, map[string][]*stagedRecord{}
	s.state.Unlock()
	for _, r := range s.shelf.list() {
		errs = append(errs, r.generation.owner.Close())
	}
	return errors.Join(append(errs, s.ledger.Close(), s.base.Close())...)
}

func (s *Serving) unknown(name string) error {
	return fault.New(fault.IONotFound, "no adapter is loaded as %q", name).Fix("list what is loaded: tenon ps")
}
