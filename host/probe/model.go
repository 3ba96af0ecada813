package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Model is a base that is resident in a backend, with what is needed to ask it and its generations.
type Model struct {
	Client    backendpb.BackendClient
	Tokenizer *tokenizer.Tokenizer
	EOS       []int32 // ends a text
	Positions int     // the longest text, in tokens
	// Progress hears how many questions were answered, from several goroutines; nil is not told.
	Progress func(done, total int)
}

// encode is a text's tokens, as the server would read it as the prompt of a completion, and the first that is scored. The prompt ends where
// the tokens of prompt and text begin to differ from those of the prompt alone: a token that holds the end of the one and the beginning of
// the other is scored. The first token of all has nothing that could predict it.
func (m *Model) encode(t Text) (tokens []int32, first int) {
	tokens = m.Tokenizer.Encode(t.Prompt+t.Text, true)
	prompt := m.Tokenizer.Encode(t.Prompt, true)
	for first < min(len(prompt), len(tokens)) && prompt[first] == tokens[first] {
		first++
	}
	return tokens, max(first, 1)
}

// misfit says why a text cannot be scored, or "".
func (m *Model) misfit(tokens []int32, first int) string {
	switch {
	case first >= len(tokens):
		return "the text has no token that could be predicted"
	case len(tokens) > m.Positions:
		return fmt.Sprintf("prompt and text have %d tokens, and the model reads %d", len(tokens), m.Positions)
	}
	return ""
}

// Score says how well the base and a generation predict texts. generation is the digest of a staged generation, nil for the base, which is
// then compared with itself. What does not fit the model is refused in one fault.List before anything is asked; file names where the texts
// came from in it.
func (m *Model) Score(ctx context.Context, generation []byte, file string, texts []Text) ([]report.ProbeText, error) {
	var misfits fault.List
	for _, t := range texts {
		if why := m.misfit(m.encode(t)); why != "" {
			misfits.Add(fault.New(fault.ProbeInvalid, "%s: %s", t.ID, why).In(file).Fix("shorten it, or cut it in two"))
		}
	}
	if err := misfits.Err(); err != nil {
		return nil, err
	}
	scores := make([]report.ProbeText, len(texts))
	err := m.each(ctx, len(texts), func(ctx context.Context, i int) (err error) {
		scores[i], err = m.score(ctx, generation, texts[i])
		return err
	})
	return scores, err
}

func (m *Model) score(ctx context.Context, generation []byte, t Text) (report.ProbeText, error) {
	tokens, first := m.encode(t)
	answer, err := m.Client.Compare(ctx, &backendpb.CompareRequest{Generation: generation, Tokens: tokens, First: int32(first)})
	if err != nil {
		return report.ProbeText{}, err
	}
	n := len(tokens) - first
	if len(answer.NllBase) != n || len(answer.NllGeneration) != n || len(answer.Kl) != n {
		return report.ProbeText{}, liar("the backend compared %d, %d and %d tokens instead of %d",
			len(answer.NllBase), len(answer.NllGeneration), len(answer.Kl), n)
	}
	return report.ProbeText{
		ID: t.ID, Role: t.Role, Tokens: n, NLLBase: mean(answer.NllBase), NLLMerged: mean(answer.NllGeneration), KL: mean(answer.Kl),
		NLLExpected: (*report.Number)(t.Expected),
	}, nil
}

// mean is NaN where any value is.
func mean(values []float64) report.Number {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return report.Number(sum / float64(len(values)))
}

// Completed is what a model said after a prompt.
type Completed struct {
	Text     string
	Diverged bool // it ended because a prediction was not finite
}

// lineEnds are what ends a line, for those who read predictions one a line.
const lineEnds = "\n\v\f\r\x1c\x1d\x1e\u0085\u2028\u2029"

// Complete goes on with each prompt, greedily, for at most maxTokens tokens, to the end of the text or of its first line. The answers have no
// white space around them; line ends in front do not end them. generation is as for Score.
func (m *Model) Complete(ctx context.Context, generation []byte, prompts []string, maxTokens int) ([]Completed, error) {
	var misfits fault.List
	for i, prompt := range prompts {
		if why := m.tooLong(prompt, maxTokens); why != "" {
			misfits.Add(fault.New(fault.ProbeInvalid, "prompt %d: %s", i+1, why).Fix("shorten it, or ask for fewer tokens"))
		}
	}
	if err := misfits.Err(); err != nil {
		return nil, err
	}
	answers := make([]Completed, len(prompts))
	err := m.each(ctx, len(prompts), func(ctx context.Context, i int) (err error) {
		answers[i], err = m.complete(ctx, generation, prompts[i], maxTokens, true)
		answers[i].Text = strings.TrimSpace(answers[i].Text)
		return err
	})
	return answers, err
}

// tooLong says why a prompt cannot be completed, or "".
func (m *Model) tooLong(prompt string, maxTokens int) string {
	n := len(m.Tokenizer.Encode(prompt, true))
	switch {
	case n == 0:
		return "it has no tokens"
	case n+maxTokens > m.Positions:
		return fmt.Sprintf("%d tokens and %d more are too many: the model reads %d", n, maxTokens, m.Positions)
	}
	return ""
}

// complete asks for one text. oneLine ends it at the first newline.
func (m *Model) complete(ctx context.Context, generation []byte, prompt string, maxTokens int, oneLine bool) (Completed, error) {
	ctx, cancel := context.WithCancel(ctx) // the backend stops once this returns
	defer cancel()
	ids := m.Tokenizer.Encode(prompt, true)
	stream, err := m.Client.Generate(ctx, &backendpb.GenerateRequest{
		Generation: generation, Prompt: ids, MaxTokens: int32(maxTokens), Stop: m.EOS, Logprobs: -1,
	})
	if err != nil {
		return Completed{}, err
	}
	first, err := stream.Recv()
	if err != nil {
		return Completed{}, err
	}
	if !slices.Equal(first.GetAdmitted().GetGeneration(), generation) {
		return Completed{}, liar("the backend answers from another generation than the one it was asked for")
	}
	var text strings.Builder
	decoder := m.Tokenizer.NewDecoderAfter(ids, true)
	for tokens := 0; tokens <= maxTokens; { // one more event than tokens: how it ended
		event, err := stream.Recv()
		switch token := event.GetToken(); {
		case errors.Is(err, io.EOF), err == nil && event.GetFinish() != nil:
			return Completed{Text: text.String() + decoder.Flush()}, nil
		case status.Code(err) == codes.OutOfRange: // its length was seen to before
			return Completed{Text: text.String() + decoder.Flush(), Diverged: true}, nil
		case err != nil:
			return Completed{}, err
		case token == nil:
			return Completed{}, liar("the backend sent what nobody asked for")
		case !slices.Contains(m.EOS, token.Id):
			text.WriteString(decoder.Push(token.Id))
		}
		tokens++
		if said := strings.TrimLeft(text.String(), " \t"+lineEnds); oneLine && strings.ContainsAny(said, lineEnds) {
			return Completed{Text: said[:strings.IndexAny(said, lineEnds)]}, nil
		}
	}
	return Completed{}, liar("the backend went on after %d tokens", maxTokens)
}

// liar refuses an answer that cannot be right.
func liar(cause string, args ...any) error {
	return fault.New(fault.BackendDown, cause, args...).Fix("do not use this backend; run its conformance test")
}

// each asks n questions, as many at once as there are processors: answers lie by their index, whichever came first.
func (m *Model) each(ctx context.Context, n int, ask func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var done atomic.Int64
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := ask(ctx, i); err != nil {
				return err
			}
			if now := done.Add(1); m.Progress != nil {
				m.Progress(int(now), n)
			}
			return nil
		})
	}
	return group.Wait()
}
