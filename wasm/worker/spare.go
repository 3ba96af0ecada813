package worker

import (
	"os"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/abi"
)

const (
	// spareIdle is how long a worker waits for a job before it is ended.
	spareIdle = 30 * time.Second
	// rememberedLoads bounds what is remembered of modules that ran.
	rememberedLoads = 256
)

// load is what a spare can have compiled before its job is known. It serves no other module.
type load struct {
	sum    [32]byte
	limits abi.Limits
}

// spares are workers that were started ahead of their jobs. One of them has read nothing yet, and each of the others has compiled one of
// the modules that ran most. No guest code has run in any of them, and each runs one job.
type spares struct {
	mu     sync.Mutex
	all    []*spare
	ran    map[load]int
	closed bool
	busy   sync.WaitGroup // goroutines that start or end one
}

// spare is a worker without a job.
type spare struct {
	loaded  bool
	load    load     // if it is loaded
	process *process // nil while it is started
	expiry  *time.Timer
	entry   entry // of the cache, in use until the spare is
}

// take gives a worker that has compiled the module, or one that has read nothing, or nil. It is the caller's to end. For a run that is to
// fill the cache it gives none that has compiled: that one writes nothing.
func (s *spares) take(want load, files int, cold bool) (p *process, loaded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if files <= maxPreparedFiles && !cold {
		if kept := s.find(func(k *spare) bool { return k.loaded && k.load == want }); kept != nil {
			return kept.process, true
		}
	}
	if kept := s.find(func(k *spare) bool { return !k.loaded }); kept != nil {
		return kept.process, false
	}
	return nil, false
}

// find takes the first that lives and suits. The kernel ends workers first when memory is short.
func (s *spares) find(suits func(*spare) bool) *spare {
	for i := 0; i < len(s.all); i++ {
		kept := s.all[i]
		if kept.process == nil || !suits(kept) {
			continue
		}
		s.remove(i)
		i--
		select {
		case <-kept.process.dead:
			s.discard(kept)
		default:
			kept.expiry.Stop()
			kept.entry.release()
			return kept
		}
	}
	return nil
}

func (s *spares) remove(i int) { s.all = append(s.all[:i:i], s.all[i+1:]...) }

// discard ends one that was removed. The caller holds the lock.
func (s *spares) discard(old *spare) {
	old.expiry.Stop()
	old.entry.release()
	s.busy.Go(old.process.discard)
}

// fill starts what is missing of n workers, and returns at once: one that has read nothing, and then, if a module ran that can be loaded
// from the cache, one for it, unless those that are there ran more often. A worker that does not start is no spare; the job that needs one
// will say why.
func (s *spares) fill(r *Runner, ran *load, wasm []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || r.Spares <= 0 {
		return
	}
	blank := &spare{}
	if !s.has(blank) {
		s.start(blank, r, nil)
	}
	if ran == nil {
		return
	}
	if len(s.ran) >= rememberedLoads {
		clear(s.ran)
	}
	if s.ran == nil {
		s.ran = map[load]int{}
	}
	s.ran[*ran]++
	next := &spare{loaded: true, load: *ran}
	if s.has(next) || len(s.all) >= r.Spares && !s.yield(s.ran[*ran]) {
		return
	}
	s.start(next, r, wasm)
}

func (s *spares) has(like *spare) bool {
	for _, kept := range s.all {
		if kept.loaded == like.loaded && kept.load == like.load {
			return true
		}
	}
	return false
}

// yield ends the loaded one whose module ran least, if it ran less often than times.
func (s *spares) yield(times int) bool {
	least := -1
	for i, kept := range s.all {
		if kept.loaded && kept.process != nil && s.ran[kept.load] < times {
			least, times = i, s.ran[kept.load]
		}
	}
	if least < 0 {
		return false
	}
	old := s.all[least]
	s.remove(least)
	s.discard(old)
	return true
}

// start starts a worker. The caller holds the lock.
func (s *spares) start(next *spare, r *Runner, wasm []byte) {
	s.all = append(s.all, next)
	s.busy.Go(func() {
		if next.loaded {
			var ok bool
			if next.entry, ok = warm(r.CacheDir, next.load.sum); !ok {
				s.forget(next)
				return
			}
		}
		p, err := start(r.Executable)
		if err != nil {
			s.forget(next)
			return
		}
		s.mu.Lock()
		next.process = p
		next.expiry = time.AfterFunc(spareIdle, func() { s.expire(next) })
		if s.closed {
			s.discard(next)
		} else if next.loaded {
			s.busy.Go(func() { p.prepare(preparation{next.load.limits, next.entry.dir}, wasm) })
		}
		s.mu.Unlock()
	})
}

// forget gives up one that was not started.
func (s *spares) forget(one *spare) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.entry.release()
	for i, kept := range s.all {
		if kept == one {
			s.remove(i)
			return
		}
	}
}

// expire ends a worker that nobody had a job for.
func (s *spares) expire(old *spare) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, kept := range s.all {
		if kept == old {
			s.remove(i)
			s.discard(old)
			return
		}
	}
}

// close ends all of them and waits until they are gone. There are none afterwards.
func (s *spares) close() {
	s.mu.Lock()
	s.closed = true
	for _, kept := range s.all {
		if kept.process != nil {
			s.discard(kept)
		}
	}
	s.all = nil
	s.mu.Unlock()
	s.busy.Wait()
}

// prepare tells a spare what to compile. Only its inlet is written to, in the order of the calls.
func (p *process) prepare(what preparation, wasm []byte) {
	defer close(p.prepared)
	body, err := json.Marshal(what)
	if err == nil && writeFrame(p.in, framePrepare, body) == nil {
		_ = writeFrame(p.in, frameModule, wasm)
	}
}

// discard ends a worker without a job and waits until it is gone.
func (p *process) discard() {
	p.kill()
	closeAll([]*os.File{p.in, p.out, p.errors})
	p.heard.Wait()
	<-p.gone
}
