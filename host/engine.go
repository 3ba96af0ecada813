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
		g := a.current()
		models = append(models, server.Model{
			ID: name, Root: g.checked.Report.Adapter.Ref, Parent: s.name, Digest: g.checked.Report.Adapter.Digest,
			Generation: merge.DigestString(g.staged.Plan.Digest), Verdict: g.checked.Report.Verdict, Created: g.loaded.Unix(), History: len(a.history) - 1,
		})
	}
	slices.SortFunc(models[1:], func(a, b server.Model) int { return strings.Compare(a.ID, b.ID) })
	return models
}

// Generate starts a request against an alias, "" for the base, and returns once the backend has bound it to a generation. A backend that is
// coming back is waited for as long as the context allows. A request that had not begun when its backend died is sent again; one that
// had begun fails, since part of its text may have been read.
func (s *Serving) Generate(ctx context.Context, request *backendpb.GenerateRequest) (server.Stream, error) {
	if request.Alias != "" {
		if _, ok := s.generation(request.Alias); !ok {
			return nil, s.unknown(request.Alias)
		}
	}
	for attempt := 1; ; attempt++ {
		stream, err := s.admit(ctx, request)
		if err == nil {
			return stream, nil
		}
		if !backend.Unavailable(err) || attempt == admissions {
			return nil, generateFault(err)
		}
		select {
		case <-time.After(admissionPause):
		case <-ctx.Done():
			return nil, generateFault(err)
		}
	}
}

const (
	admissions     = 4                      // how often a request is sent that no backend lived to begin
	admissionPause = 100 * time.Millisecond // in which a death is noticed
)

// admit sends a request and waits for its first event.
func (s *Serving) admit(ctx context.Context, request *backendpb.GenerateRequest) (*generationStream, error) {
	client, err := s.supervisor.Client(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := client.Generate(ctx, request)
	if err != nil {
		return nil, err
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	return &generationStream{stream, first}, nil
}

// generationStream gives the event that was waited for, then the others, and speaks the language of faults.
type generationStream struct {
	backendpb.Backend_GenerateClient
	first *backendpb.GenerateEvent
}

func (s *generationStream) Recv() (*backendpb.GenerateEvent, error) {
	if event := s.first; event != nil {
		s.first = nil
		return event, nil
	}
	event, err := s.Backend_GenerateClient.Recv()
	return event, generateFault(err)
}

// generateFault says what a failed generation means to whoever asked. io.EOF stays what it is.
func generateFault(err error) error {
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
