package host

import (
	"context"
	"slices"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// laboratory is a backend that holds a base, and in which a generation can be staged and asked before an alias means it. It serves one caller.
type laboratory struct {
	host      *Host
	base      *base.Base
	tokenizer *tokenizer.Tokenizer
	client    func(context.Context) (backendpb.BackendClient, error) // waits for a backend that is coming back
	release   func(context.Context, [32]byte)                        // forgets a generation, unless an alias means it
	stop      func(context.Context)
}

// laboratory is the backend that serves. It stays when the question is answered.
func (s *Serving) laboratory() *laboratory {
	return &laboratory{
		host: s.judge.Load(), base: s.base, tokenizer: s.tokenizer,
		client:  func(ctx context.Context) (backendpb.BackendClient, error) { return s.supervisor.Client(ctx) },
		release: func(context.Context, [32]byte) {}, // who asks has it on the shelf
		stop:    func(context.Context) {},
	}
}

// newLaboratory prepares a backend of its own, which starts when it is first asked. A base that it cannot run is refused before.
// The caller stops it.
func (h *Host) newLaboratory(b *base.Base) (*laboratory, error) {
	lab := &laboratory{host: h, base: b, release: func(context.Context, [32]byte) {}} // what it holds ends with it
	err := b.Servable()
	if err == nil {
		lab.tokenizer, err = tokenizer.Open(b.Dir)
	}
	if err != nil {
		return nil, fault.New(fault.UsageFlag, "the base cannot be run, so nothing can be asked of it").In(b.Ref).Wrap(err).
			Fix("leave the probes and texts out for this base, or use a base that tenon serve runs")
	}
	var supervisor *backend.Supervisor
	lab.client = func(ctx context.Context) (backendpb.BackendClient, error) {
		if supervisor != nil {
			return supervisor.Client(ctx)
		}
		restore := func(ctx context.Context, client backendpb.BackendClient) error {
			_, err := loadBase(ctx, client, b)
			return err
		}
		started, err := backend.Start(ctx, h.backend, backend.Options{Log: h.log, Restore: restore})
		if err != nil {
			return nil, err
		}
		supervisor = started
		client, err := supervisor.Client(ctx)
		var described *backendpb.DescribeResponse
		if err == nil {
			described, err = h.describe(ctx, client)
		}
		if err == nil {
			err = h.generates(described, b)
		}
		if err == nil {
			err = restore(ctx, client) // a first process has nothing to be restored to
		}
		return client, err
	}
	lab.stop = func(ctx context.Context) {
		if supervisor != nil {
			supervisor.Stop(context.WithoutCancel(ctx))
		}
	}
	return lab, nil
}

// fits refuses probes that the base cannot read.
func (l *laboratory) fits() error {
	if l.host.probe == nil {
		return nil
	}
	return l.describe(nil).Fits(l.host.probe)
}

// model is the base in the running backend.
func (l *laboratory) model(ctx context.Context) (*probe.Model, error) {
	client, err := l.client(ctx)
	if err != nil {
		return nil, err
	}
	return l.describe(client), nil
}

func (l *laboratory) describe(client backendpb.BackendClient) *probe.Model {
	m := &probe.Model{Client: client, Tokenizer: l.tokenizer, Positions: int(l.base.ModelConfig().MaxPositions)}
	for _, id := range l.base.Config.EOS {
		m.EOS = append(m.EOS, int32(id))
	}
	m.EOS = slices.Clip(m.EOS)
	return m
}
