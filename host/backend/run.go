package backend

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hashicorp/go-plugin"
)

const (
	firstDelay = 50 * time.Millisecond // before the first restart; doubled for each further one in the window
	lastDelay  = 5 * time.Second
)

// run watches one process after the other until Stop, or until they die too fast.
func (s *Supervisor) run(p *process) {
	defer close(s.done)
	defer s.stop()
	var deaths []time.Time
	restored := true
	for {
		why := s.watch(p, restored)
		if s.ctx.Err() != nil {
			p.end(politeTime)
			s.become(Stopped, nil, nil)
			return
		}
		s.become(Restarting, nil, why)
		p.end(0)
		s.options.Log.Error("backend died", "backend", s.spec.Name, "error", why)
		for p = nil; p == nil; {
			now := time.Now()
			deaths = append(deaths, now)
			for now.Sub(deaths[0]) > s.options.RestartWindow {
				deaths = deaths[1:]
			}
			if len(deaths) > s.options.MaxRestarts {
				why = fmt.Errorf("it died %d times within %v, the last time: %w", len(deaths), s.options.RestartWindow, why)
				s.options.Log.Error("backend failed", "backend", s.spec.Name, "error", why)
				s.become(Failed, nil, why)
				return
			}
			select {
			case <-time.After(min(firstDelay<<min(len(deaths)-1, 16), lastDelay)):
			case <-s.ctx.Done():
				s.become(Stopped, nil, nil)
				return
			}
			var err error
			if p, err = s.launch(s.ctx); err != nil {
				if s.ctx.Err() != nil {
					s.become(Stopped, nil, nil)
					return
				}
				p, why = nil, err
				s.options.Log.Error("backend did not start again", "backend", s.spec.Name, "error", err)
			}
		}
		restored = false
		s.adopt(p)
	}
}

// adopt makes p the current process without changing the state.
func (s *Supervisor) adopt(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
}

// watch returns why the process can no longer be used, which Stop is too: it exited, did not answer its health check in time, or could not be
// told what it must know. A process that is not restored yet is told here, under the same watch, and is ready afterwards.
func (s *Supervisor) watch(p *process, restored bool) error {
	ctx, cancel := context.WithCancel(s.ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	sick := make(chan error, 1)
	background.Go(func() { sick <- s.checkHealth(ctx, p) })
	told := make(chan error, 1)
	if !restored {
		background.Go(func() { told <- s.options.Restore(ctx, p.client) })
	}
	for {
		select {
		case <-p.runner.exited:
			return fmt.Errorf("the process %s", p.runner.fate())
		case err := <-sick:
			if s.ctx.Err() != nil {
				return s.ctx.Err()
			}
			p.runner.kill() // before anything that asks it: it may be frozen
			return err
		case err := <-told:
			if err != nil {
				p.runner.kill()
				return fmt.Errorf("restoring its state: %w", err)
			}
			s.become(Ready, p, nil)
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

// checkHealth returns when a check was not answered in time or in order, or when ctx ends.
func (s *Supervisor) checkHealth(ctx context.Context, p *process) error {
	ticker := time.NewTicker(s.options.HealthInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if err := p.healthy(ctx, s.options.HealthTimeout); err != nil {
			return err
		}
	}
}

// healthy asks the process whether it serves.
func (p *process) healthy(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	if err != nil {
		return fmt.Errorf("the health check was not answered within %v: %w", timeout, err)
	}
	if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the health check was answered %v", answer.Status)
	}
	return nil
}
