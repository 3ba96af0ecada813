package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

var _ server.Engine = (*Serving)(nil)

// maxAdapters bounds how many aliases can be live at once.
const maxAdapters = 64

// Models lists the base, then the aliases by name.
func (s *Serving) Models() []server.Model {
	s.state.RLock()
	defer s.state.RUnlock()
	models := []server.Model{{
		ID: s.name, Root: s.base.Ref, Digest: merge.DigestString(s.base.Digest), Generation: server.GenerationName(nil), Created: s.started.Unix(),
		State: server.StateLive,
	}}
	for name, a := range s.live {
		models = append(models, s.model(name, a))
	}
	slices.SortFunc(models[1:], func(a, b server.Model) int { return strings.Compare(a.ID, b.ID) })
	return models
}

// model describes an alias.
func (s *Serving) model(name string, a *alias) server.Model {
	m := server.Model{
		ID: name, Root: a.activation.Ref, Parent: s.name, Digest: merge.DigestString(a.activation.Adapter),
		Generation: merge.DigestString(a.activation.Generation), Verdict: a.verdict, Created: a.activation.Time.Unix(),
		History: max(0, len(a.stack)-1), Sequence: a.activation.Sequence, Mode: server.Mode(a.activation.Mode), ModeReason: a.reason,
		State: a.state(),
	}
	switch {
	case m.State == server.StateFailed:
		m.Failure = a.failure
	case a.generation != nil:
		m.Bytes = a.generation.plan.Bytes()
	}
	return m
}

// Generate starts a request against an alias, "" for the base, and returns once the backend has bound it to a generation. A request that had
// not begun when its backend died is sent again; one that had begun fails, since part of its text may have been read.
func (s *Serving) Generate(ctx context.Context, request *backendpb.GenerateRequest) (server.Stream, error) {
	if request.Alias != "" {
		if a := s.alias(request.Alias); a == nil || a.generation == nil {
			return nil, s.absent(request.Alias, a)
		}
	}
	var stream *generationStream
	err := s.ask(ctx, func(client backendpb.BackendClient) (err error) {
		stream, err = admit(ctx, client, request)
		return err
	})
	if request.Alias != "" && (errors.Is(err, errUnbound) || status.Code(err) == codes.NotFound) {
		return nil, s.absent(request.Alias, s.alias(request.Alias).unless()) // it was unloaded while the request waited, or is being loaded
	}
	if err != nil {
		return nil, backendFault(err)
	}
	s.count(ctx, stream)
	return stream, nil
}

// unless is an alias that does not answer, or nil.
func (a *alias) unless() *alias {
	if a == nil || a.generation != nil {
		return nil
	}
	return a
}

// count keeps a request's generation in memory until it ends, and lets others have that memory then.
func (s *Serving) count(ctx context.Context, stream *generationStream) {
	admitted := stream.first.GetAdmitted()
	if admitted == nil || len(admitted.Generation) != sha256.Size {
		return
	}
	end := s.shelf.begin([32]byte(admitted.Generation))
	over := sync.OnceFunc(func() {
		if !end() {
			return
		}
		s.loading.RLock()
		defer s.loading.RUnlock()
		if !s.stopped {
			s.background.Go(func() { s.sweep(s.running) })
		}
	})
	stop := context.AfterFunc(ctx, over)
	stream.over = func() {
		stop()
		over()
	}
}

// errUnbound is a request that came to the base because its alias means nothing any more. The base's text is no answer to it.
var errUnbound = errors.New("the alias means nothing any more")

// admit sends a request and waits for its first event.
func admit(ctx context.Context, client backendpb.BackendClient, request *backendpb.GenerateRequest) (*generationStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := client.Generate(ctx, request)
	if err != nil {
		cancel()
		return nil, err
	}
	first, err := stream.Recv()
	if admitted := first.GetAdmitted(); err == nil && request.Alias != "" && admitted != nil && len(admitted.Generation) == 0 {
		err = errUnbound
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &generationStream{Backend_GenerateClient: stream, first: first, cancel: cancel}, nil
}

// generationStream gives the event that was waited for, then the others, and speaks the language of faults.
type generationStream struct {
	backendpb.Backend_GenerateClient
	first  *backendpb.GenerateEvent
	cancel context.CancelFunc
	over   func() // hears that it has ended, perhaps more than once; may be nil
}

func (s *generationStream) Recv() (*backendpb.GenerateEvent, error) {
	if event := s.first; event != nil {
		s.first = nil
		return event, nil
	}
	event, err := s.Backend_GenerateClient.Recv()
	if err != nil {
		s.cancel()
	}
	if s.over != nil && (err != nil || event.GetFinish() != nil) {
		s.over()
	}
	return event, backendFault(err)
}

// backendFault says what a failed call of the backend means to whoever asked. io.EOF stays what it is.
func backendFault(err error) error {
	if err == nil || errors.Is(err, io.EOF) || len(fault.All(err)) > 0 {
		return err
	}
	answer := status.Convert(err)
	switch answer.Code() {
	case codes.InvalidArgument, codes.OutOfRange:
		return fault.New(fault.UsageFlag, "%s", answer.Message())
	case codes.Canceled, codes.DeadlineExceeded:
		return fault.New(fault.Canceled, "the request was cancelled").Wrap(err)
	case codes.ResourceExhausted: // a text too long for the cache, or a generation too large
		return fault.New(fault.IOMemory, "%s", answer.Message()).Fix("try again later")
	case codes.Unavailable:
		return fault.New(fault.BackendDown, "the backend died with the request in flight, and is being started again").Wrap(err).Fix("send the request again")
	}
	return fault.New(fault.BackendDown, "the backend failed").Wrap(err)
}

// Status is the backend's, at this moment.
func (s *Serving) Status() server.Status {
	state := s.supervisor.State()
	left, total := s.opening.counts()
	out := server.Status{
		Ready: state == backend.Ready, State: state.String(), Backend: s.described.Name + " " + s.described.Version, Device: s.described.Device,
		Restarts: s.restarts.Load(), MemoryUsed: s.shelf.bytes(), MemoryLimit: s.memory,
	}
	if !out.Ready {
		return out
	}
	switch {
	case s.draining.Load():
		out.Ready, out.State = false, "draining"
	case left > 0:
		out.Ready, out.State = false, fmt.Sprintf("bringing back %d of %d adapters", left, total)
	case s.holds.Load() > 0:
		out.Ready, out.State = false, "loading the first adapters"
	}
	if now, err := s.backendStatus(); err == nil {
		out.Running, out.Waiting, out.CacheBytes = int(now.Running), int(now.Waiting), int64(now.CacheBytes)
	}
	return out
}

// backendStatus asks the backend how it is, and does not wait for one that is coming back.
func (s *Serving) backendStatus() (*backendpb.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(s.running, statusTimeout)
	defer cancel()
	client, err := s.supervisor.Client(ctx)
	if err != nil {
		return nil, err
	}
	return client.Status(ctx, &backendpb.StatusRequest{})
}

// statusTimeout bounds how long a look at the backend may take: metrics are scraped while it restarts, too.
const statusTimeout = time.Second

// Tokenizer is the base's.
func (s *Serving) Tokenizer() *tokenizer.Tokenizer { return s.tokenizer }

// Limits are the base's.
func (s *Serving) Limits() server.Limits {
	config := s.base.ModelConfig()
	limits := server.Limits{MaxPositions: int(config.MaxPositions), VocabSize: int(config.VocabSize), MaxAdapters: maxAdapters, ModelDir: s.base.Dir}
	for _, id := range s.base.Config.EOS {
		limits.EOS = append(limits.EOS, int32(id))
	}
	return limits
}

// Feed tells what happens.
func (s *Serving) Feed() *server.Feed { return s.feed }
