package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/internal/machine"
)

// decodeCase is a number of texts of one length that are read and then continued at the same time.
type decodeCase struct{ streams, prompt, tokens int }

// decodeCases are what is measured. The prompts of many texts are shorter, since the texts take turns to be read: what is measured of them
// is how fast all are written.
var decodeCases = []decodeCase{{streams: 1, prompt: 512, tokens: 64}, {streams: 8, prompt: 64, tokens: 128}}

// tolerance is how far log-probabilities may lie apart. llama.cpp rounds what it multiplies with BF16 weights to BF16 too.
const tolerance = 0.1

// decodeFigures are one contender's of one case, by round.
type decodeFigures struct {
	prefill series // prompt tokens/s; of one stream
	decode  series // tokens/s of all streams together
}

// decodeResult is all about text.
type decodeResult struct {
	shapes  shapes
	bytes   int64 // that every token reads: of all weights but the embedding, of which it reads a row
	about   map[string]string
	missing string // why llama.cpp was not measured
	apart   float64
	tenon   map[decodeCase]*decodeFigures
	llama   map[decodeCase]*decodeFigures
	memory  series // GB/s of copying
	fma     series // GFLOP/s
}

// decodeShapes are a Llama of about 0.5 GB.
var decodeShapes = shapes{hidden: 1024, intermediate: 2816, heads: 16, kvHeads: 8, vocab: 32000, layers: 16}

// parameters are the weights that are multiplied with for each token.
func (s shapes) parameters() int64 {
	n := int64(s.vocab) * int64(s.hidden)
	for _, m := range s.linear() {
		n += int64(s.layers) * int64(m.out) * int64(m.in)
	}
	return n
}

// benchDecode has Tenon and llama.cpp continue texts with a generated model in turns.
func benchDecode(ctx context.Context, o options, work, temporary string) (*decodeResult, error) {
	s := decodeShapes
	r := &decodeResult{shapes: s, bytes: 2 * s.parameters(), about: map[string]string{}, tenon: map[decodeCase]*decodeFigures{},
		llama: map[decodeCase]*decodeFigures{}}
	for _, c := range decodeCases {
		r.tenon[c], r.llama[c] = &decodeFigures{}, &decodeFigures{}
	}
	dir, gguf, err := prepareDecode(work, s)
	if err != nil {
		return nil, err
	}
	program, err := tenonProgram(ctx, o.tenon, temporary)
	if err != nil {
		return nil, err
	}
	writer, err := startWriter(ctx, program, dir, o.workers)
	if err != nil {
		return nil, err
	}
	defer writer.stop()
	b := &decodeBench{result: r, tenon: writer}
	if b.llama, r.missing = openLlama(ctx, o, temporary, gguf); b.llama != nil {
		defer b.llama.close()
		r.about[llamaName] = b.llama.about[llamaName]
		if err := b.compare(ctx); err != nil {
			return nil, err
		}
	}
	limit := machine.New()
	for round := range o.rounds {
		for i := range decodeCases {
			if err := b.turn(ctx, decodeCases[i], round); err != nil {
				return nil, err
			}
		}
		const moved, products = 1 << 30, 1 << 32
		bound := limit.Bound(machine.Work{Bytes: moved, FMA32: products}, o.workers)
		r.memory = append(r.memory, moved/bound.Copy.Seconds()/1e9)
		r.fma = append(r.fma, 2*products/bound.FMA.Seconds()/1e9)
	}
	return r, nil
}

// openLlama starts llama.cpp; where it cannot be had, why says so.
func openLlama(ctx context.Context, o options, temporary, gguf string) (c *contender, why string) {
	libraries, why := findLlama(ctx, o.llama)
	if why == "" {
		var err error
		if c, err = startLlama(ctx, libraries, temporary, gguf, o.workers); err == nil {
			return c, ""
		}
		why = strings.Join(strings.Fields(err.Error()), " ") // in one line, for a table
	}
	note("llama.cpp is left out: %s", why)
	return nil, why
}

// prepareDecode writes the model in both forms, where they are not there.
func prepareDecode(work string, s shapes) (dir, gguf string, err error) {
	dir, gguf = filepath.Join(work, "text"), filepath.Join(work, "text.gguf")
	generated := filepath.Join(work, "text.generated") // written last
	want := fmt.Sprintf("%+v, seed %d\n", s, seed)
	if have, err := os.ReadFile(generated); err == nil && string(have) == want {
		return dir, gguf, nil
	}
	note("generating a model of %.2f GB in %s, twice", float64(2*s.parameters()+2*int64(s.vocab*s.hidden))/1e9, work)
	if err := os.RemoveAll(dir); err != nil {
		return "", "", err
	}
	if err := writeBase(dir, s, 1, seed); err != nil {
		return "", "", err
	}
	if err := writeGGUF(gguf, dir, s); err != nil {
		return "", "", err
	}
	return dir, gguf, os.WriteFile(generated, []byte(want), 0o600)
}

// decodeBench is the contenders at work.
type decodeBench struct {
	result *decodeResult
	tenon  *writer
	llama  *contender
}

// prompts are random, and none begins as another one does, so that nobody can take what a text before has left.
func (b *decodeBench) prompts(c decodeCase, turn uint64) []int32 {
	r := rand.New(rand.NewPCG(seed, turn<<8|uint64(c.streams)))
	out := make([]int32, c.streams*c.prompt)
	for i := range out {
		out[i] = 3 + r.Int32N(int32(b.result.shapes.vocab-3))
	}
	return out
}

// compare sees to it that both compute the same model: the log-probabilities of what Tenon finds likeliest after a prompt.
func (b *decodeBench) compare(ctx context.Context) error {
	c := decodeCase{streams: 1, prompt: 256, tokens: 1}
	prompt := b.prompts(c, math.MaxUint32)
	ids, want, err := b.tenon.likeliest(ctx, prompt)
	if err != nil {
		return err
	}
	r, err := b.llama.ask(request{Op: "generate", Streams: 1, Tokens: 1, Prompts: prompt, IDs: ids})
	if err != nil {
		return err
	}
	if len(r.Sample) != len(want) || len(want) == 0 {
		return fmt.Errorf("llama.cpp gave %d log-probabilities, not %d", len(r.Sample), len(want))
	}
	for i, v := range want {
		b.result.apart = max(b.result.apart, math.Abs(v-r.Sample[i]))
		if !(math.Abs(v-r.Sample[i]) <= tolerance) {
			return fmt.Errorf("they do not compute the same model: token %d has log-probability %g by Tenon and %g by llama.cpp", ids[i], v, r.Sample[i])
		}
	}
	return nil
}

// turn measures both, the other one first in each round.
func (b *decodeBench) turn(ctx context.Context, c decodeCase, round int) error {
	for i := range 2 {
		prompts := b.prompts(c, uint64(2*round+i))
		time.Sleep(rest)
		var read, write float64 // tokens/s
		var err error
		figures, name := b.result.tenon[c], "Tenon"
		if i == round%2 {
			read, write, err = b.tenon.write(ctx, c, prompts)
		} else if b.llama != nil {
			figures, name = b.result.llama[c], llamaName
			read, write, err = b.askLlama(c, prompts)
		} else {
			continue
		}
		if err != nil {
			return err
		}
		note("round %d, %d streams: %s reads %.0f tokens/s and writes %.1f", round+1, c.streams, name, read, write)
		figures.prefill, figures.decode = append(figures.prefill, read), append(figures.decode, write)
	}
	return ctx.Err()
}

func (b *decodeBench) askLlama(c decodeCase, prompts []int32) (read, write float64, err error) {
	r, err := b.llama.ask(request{Op: "generate", Streams: c.streams, Tokens: c.tokens, Prompts: prompts})
	if err != nil {
		return 0, 0, err
	}
	if len(r.Seconds) != 2 {
		return 0, 0, fmt.Errorf("llama.cpp told %d times, not 2", len(r.Seconds))
	}
	return float64(len(prompts)) / r.Seconds[0], float64(c.streams*(c.tokens-1)) / r.Seconds[1], nil
}
