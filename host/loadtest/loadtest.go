// Package loadtest puts completions on a running server and says how it bore them: how long the first token took and the others, how many
// tokens came each second, what failed, and which generation answered.
package loadtest

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

// Plan is the load. Either Clients send one request after the other (a closed loop), or requests come at Rate whatever the server does (an
// open loop).
type Plan struct {
	URL     string // of the server, without a path
	Key     string // API key; "" is none
	Client  *http.Client
	Models  []string // asked in turn
	Prompts []string // sent in turn
	Tokens  int      // max_tokens of each request

	Clients  int             // of a closed loop
	Rate     float64         // of an open loop: requests each second, at random times
	Seed     uint64          // of the random times
	Requests int             // to send; 0: until Duration is over
	Duration time.Duration   // 0: until Requests are sent
	Stop     <-chan struct{} // sends nothing more once it is closed; nil: never

	// Check looks at each whole answer; an error counts the request as wrong. It may be nil, and is called from several goroutines.
	Check func(Answer) error
}

// Answer is one completion as it came.
type Answer struct {
	Model, Prompt string
	Generation    string // that the request was bound to
	Text          string
	Finish        string
}

// maxOpen bounds the requests in flight of an open loop: a server that falls behind for good is not to end this process.
const maxOpen = 4096

func (p *Plan) check() error {
	switch {
	case len(p.Models) == 0 || len(p.Prompts) == 0 || p.Tokens < 1:
		return fault.New(fault.UsageFlag, "the load has no model, no prompt or no tokens")
	case (p.Clients > 0) == (p.Rate > 0):
		return fault.New(fault.UsageFlag, "a load has clients that wait for their answers, or a rate at which requests come: one of them").
			Fix("give --clients N, or --rate N")
	case p.Requests <= 0 && p.Duration <= 0:
		return fault.New(fault.UsageFlag, "the load does not say when it ends").Fix("give --requests or --duration")
	}
	return nil
}

// Run puts the load on the server and returns when every request has ended. Requests that fail are counted, not returned as an error.
func Run(ctx context.Context, p Plan) (*Result, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if p.Client == nil {
		p.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: maxOpen}}
	}
	stop := ctx
	if p.Duration > 0 {
		var cancel context.CancelFunc
		stop, cancel = context.WithTimeout(ctx, p.Duration)
		defer cancel()
	}
	if p.Stop != nil {
		var cancel context.CancelFunc
		stop, cancel = context.WithCancel(stop)
		defer cancel()
		go func() {
			select {
			case <-p.Stop:
				cancel()
			case <-stop.Done():
			}
		}()
	}
	r := newRecorder()
	begun := time.Now()
	if p.Clients > 0 {
		p.closed(ctx, stop, r)
	} else {
		p.open(ctx, stop, r)
	}
	return r.result(time.Since(begun)), ctx.Err()
}

// closed lets each client send its next request when it has the answer to the last.
func (p *Plan) closed(ctx, stop context.Context, r *recorder) {
	next := p.deal()
	var clients sync.WaitGroup
	for range p.Clients {
		clients.Go(func() {
			for stop.Err() == nil {
				n, ok := next()
				if !ok {
					return
				}
				p.one(ctx, n, time.Now(), r)
			}
		})
	}
	clients.Wait()
}

// open sends requests at random times with exponential gaps. The time of a request counts from when it was due: a server that makes the
// sender wait does not look faster for it.
func (p *Plan) open(ctx, stop context.Context, r *recorder) {
	next := p.deal()
	random := rand.New(rand.NewPCG(p.Seed, 0x6c6f6164))
	room := make(chan struct{}, maxOpen)
	var inFlight sync.WaitGroup
	defer inFlight.Wait()
	for due := time.Now(); ; due = due.Add(time.Duration(random.ExpFloat64() / p.Rate * float64(time.Second))) {
		select {
		case <-stop.Done():
			return
		case <-time.After(time.Until(due)):
		}
		n, ok := next()
		if !ok {
			return
		}
		select {
		case room <- struct{}{}:
			inFlight.Go(func() {
				defer func() { <-room }()
				p.one(ctx, n, due, r)
			})
		default:
			r.failed("more than 4096 in flight", nil)
		}
	}
}

// deal numbers the requests, and ends them where there is a number of them.
func (p *Plan) deal() func() (int, bool) {
	var mu sync.Mutex
	n := 0
	return func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if p.Requests > 0 && n == p.Requests {
			return 0, false
		}
		n++
		return n - 1, true
	}
}

// one sends a request and records what became of it.
func (p *Plan) one(ctx context.Context, n int, due time.Time, r *recorder) {
	answer, times, failure, cause := p.complete(ctx, p.Models[n%len(p.Models)], p.Prompts[n/len(p.Models)%len(p.Prompts)])
	switch {
	case ctx.Err() != nil: // the caller gave up: neither good nor bad
	case failure != "":
		r.failed(failure, cause)
	default:
		var wrong error
		if p.Check != nil {
			wrong = p.Check(answer)
		}
		r.done(answer, due, times, wrong)
	}
}
