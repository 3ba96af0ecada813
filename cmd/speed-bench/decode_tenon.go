package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// writer is Tenon's backend with a model: a process of its own, asked as the server asks it.
type writer struct {
	supervisor *backend.Supervisor
	client     backendpb.BackendClient
}

// tenonProgram is the file given, or tenon as it is built now.
func tenonProgram(ctx context.Context, given, temporary string) (string, error) {
	if given == "" {
		given = filepath.Join(temporary, "tenon")
		note("building tenon")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", given, "./cmd/tenon")
		if output, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build ./cmd/tenon, from the root of the repository: %s", last(output, err))
		}
	}
	return filepath.Abs(given)
}

// startWriter has the backend of a tenon load a checkpoint and compute with so many threads.
func startWriter(ctx context.Context, program, dir string, threads int) (*writer, error) {
	spec := backend.Spec{Name: "cpu", Command: []string{program}, Argv0: backend.CPUArgv0, Env: []string{fmt.Sprintf("GOMAXPROCS=%d", threads)}}
	s, err := backend.Start(ctx, spec, backend.Options{})
	if err != nil {
		return nil, err
	}
	w := &writer{supervisor: s}
	if err := w.load(ctx, dir); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *writer) stop() { w.supervisor.Stop(context.Background()) }

func (w *writer) load(ctx context.Context, dir string) error {
	b, err := base.Open(dir)
	if err != nil {
		return err
	}
	defer b.Close()
	if w.client, err = w.supervisor.Client(ctx); err != nil {
		return err
	}
	_, err = w.client.LoadBase(ctx, &backendpb.LoadBaseRequest{
		Digest: b.Digest[:], Files: b.BackendFiles(), Tensors: b.BackendTensors(), Config: b.ModelConfig(),
	})
	return err
}

// generate returns when each token came, and the last token with its alternatives.
func (w *writer) generate(ctx context.Context, r *backendpb.GenerateRequest) ([]time.Time, *backendpb.Token, error) {
	stream, err := w.client.Generate(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	var times []time.Time
	var token *backendpb.Token
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		if t := event.GetToken(); t != nil {
			times, token = append(times, time.Now()), t
		}
	}
	if len(times) != int(r.MaxTokens) {
		return nil, nil, fmt.Errorf("the backend wrote %d tokens, not %d", len(times), r.MaxTokens)
	}
	return times, token, nil
}

// likeliest are the ids that may well follow a prompt, with their log-probabilities.
func (w *writer) likeliest(ctx context.Context, prompt []int32) (ids []int32, logprobs []float64, err error) {
	_, token, err := w.generate(ctx, &backendpb.GenerateRequest{Prompt: prompt, MaxTokens: 1, Logprobs: 20})
	if err != nil {
		return nil, nil, err
	}
	for _, a := range token.Alternatives {
		ids, logprobs = append(ids, a.Id), append(logprobs, a.Logprob)
	}
	return ids, logprobs, nil
}

// write continues all texts of a case at the same time, and returns the tokens/s of reading and of writing.
func (w *writer) write(ctx context.Context, c decodeCase, prompts []int32) (read, write float64, err error) {
	times := make([][]time.Time, c.streams)
	var group errgroup.Group
	start := time.Now()
	for i := range c.streams {
		group.Go(func() error {
			var err error
			times[i], _, err = w.generate(ctx, &backendpb.GenerateRequest{
				Prompt: prompts[i*c.prompt : (i+1)*c.prompt], MaxTokens: int32(c.tokens), Logprobs: -1,
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	return readRate(start, times, len(prompts)), writeRate(times), nil
}

// readRate counts all prompts until the last text's first token.
func readRate(start time.Time, times [][]time.Time, tokens int) float64 {
	begun := start
	for _, t := range times {
		begun = later(begun, t[0])
	}
	return float64(tokens) / begun.Sub(start).Seconds()
}

// writeRate counts the tokens that came while all texts were being written: after the first token of the one that began last, and until the
// one that ended first did. Where there was no such time, it counts all of them but the first.
func writeRate(times [][]time.Time) float64 {
	from, to, first, last := times[0][0], times[0][len(times[0])-1], times[0][0], times[0][len(times[0])-1]
	for _, t := range times {
		from, last = later(from, t[0]), later(last, t[len(t)-1])
		if t[0].Before(first) {
			first = t[0]
		}
		if t[len(t)-1].Before(to) {
			to = t[len(t)-1]
		}
	}
	if !to.After(from) {
		from, to = first, last
	}
	count := 0
	for _, at := range slices.Concat(times...) {
		if at.After(from) && !at.After(to) {
			count++
		}
	}
	return float64(count) / to.Sub(from).Seconds()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
