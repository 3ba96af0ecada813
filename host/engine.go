package host

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

var _ server.Engine = (*Serving)(nil)

// maxAdapters bounds how many aliases can be live at once.
const maxAdapters = 64

// Models lists the base, then the live aliases by name.
func (s *Serving) Models() []server.Model {
	s.state.RLock()
	defer s.state.RUnlock()
	models := []server.Model{{
		ID: s.name, Root: s.base.Ref, Digest: merge.DigestString(s.base.Digest), Generation: server.GenerationName(nil), Created: s.started.Unix(),
	}}
	for name, a := range s.live {
		models = append(models, s.model(name, a))
	}
	slices.SortFunc(models[1:], func(a, b server.Model) int { return strings.Compare(a.ID, b.ID) })
	return models
}

// model describes an alias.
func (s *Serving) model(name string, a *alias) server.Model {
	g := a.current()
	return server.Model{
		ID: name, Root: g.checked.Report.Adapter.Ref, Parent: s.name, Digest: g.checked.Report.Adapter.Digest,
		Generation: merge.DigestString(g.digest()), Verdict: g.checked.Report.Verdict, Created: g.loaded.Unix(), History: len(a.history) - 1,
	}
}

// Generate starts a request against an alias, "" for the base, and returns once the backend has bound it to a generation. A request that had
// not begun when its backend died is sent again; one that had begun fails, since part of its text may have been read.
func (s *Serving) Generate(ctx context.Context, request *backendpb.GenerateRequest) (server.Stream, error) {
	if request.Alias != "" {
		if _, ok := s.generation(request.Alias); !ok {
			return nil, s.unknown(request.Alias)
		}
	}
	var stream *generationStream
	err := s.ask(ctx, func(client backendpb.BackendClient) (err error) {
		stream, err = admit(ctx, client, request)
		return err
	})
	if request.Alias != "" && (errors.Is(err, errUnbound) || status.Code(err) == codes.NotFound) {
		return nil, s.unknown(request.Alias) // it was unloaded while the request waited, or is being loaded
	}
	if err != nil {
		return nil, backendFault(err)
	}
	return stream, nil
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
	case codes.ResourceExhausted:
		return fault.New(fault.IOSpace, "%s", answer.Message()).Fix("try again later")
	case codes.Unavailable:
		return fault.New(fault.BackendDown, "the backend died with the request in flight, and is being started again").Wrap(err).Fix("send the request again")
	}
	return fault.New(fault.BackendDown, "the backend failed").Wrap(err)
}

// Status is the backend's, at this moment.
func (s *Serving) Status() server.Status {
	state := s.supervisor.State()
	out := server.Status{
		Ready: state == backend.Ready, State: state.String(), Backend: s.described.Name + " " + s.described.Version, Device: s.described.Device,
		Restarts: s.restarts.Load(),
	}
	if !out.Ready {
		return out
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	client, err := s.supervisor.Client(ctx)
	if err != nil {
		return out
	}
	if now, err := client.Status(ctx, &backendpb.StatusRequest{}); err == nil {
		out.Running, out.Waiting = int(now.Running), int(now.Waiting)
	}
	return out
}

// statusTimeout bounds how long a look at the backend may take: metrics are scraped while it restarts, too.
const statusTimeout = time.Second

// Tokenizer is the base's.
func (s *Serving) Tokenizer() *tokenizer.Tokenizer { return s.tokenizer }

// Limits are the base's.
func (s *Serving) Limits() server.Limits {
	config := s.base.ModelConfig()
	limits := server.Limits{MaxPositions: int(config.MaxPositions), VocabSize: int(config.VocabSize), MaxAdapters: maxAdapters}
	for _, id := range s.base.Config.EOS {
		limits.EOS = append(limits.EOS, int32(id))
	}
	return limits
}

// Report is that of the live generation of an alias.
func (s *Serving) Report(name string) (*report.Report, bool) {
	if g, ok := s.generation(name); ok {
		return g.checked.Report, true
	}
	return nil, false
}
