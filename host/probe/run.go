package probe

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// timeLimit bounds one run: a backend that hangs must not keep a load for ever.
const timeLimit = 10 * time.Minute

// Fits refuses a file with texts or prompts that are longer than what the model reads, all of them in one fault.List.
func (m *Model) Fits(f *File) error {
	var misfits fault.List
	add := func(list string, i int, why string) {
		if why != "" {
			misfits.Add(fault.New(fault.ProbeInvalid, "%s", why).In(f.Path).At(document.PointerTo(list, i)).Fix("shorten it, or ask for fewer tokens"))
		}
	}
	for i, t := range f.Texts {
		add("/texts", i, m.misfit(m.encode(t)))
	}
	for i, c := range f.Completions {
		add("/completions", i, m.tooLong(c.Prompt, c.MaxTokens))
	}
	return misfits.Err()
}

// Run asks the base and a staged generation everything in the file. The answer is a function of the bytes of base, adapter and file.
//
// Predictions of the merged model that are not finite give NaN in the answer, and a fault of class Rejected beside it. With any other error
// there is no answer.
func (m *Model) Run(ctx context.Context, generation [32]byte, f *File) (*report.Probe, error) {
	if err := m.Fits(f); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeLimit, fmt.Errorf("the probes did not end within %v", timeLimit))
	defer cancel()
	p := &report.Probe{
		Digest: "sha256:" + hex.EncodeToString(f.Digest[:]), Texts: make([]report.ProbeText, len(f.Texts)),
		Completions: make([]report.ProbeCompletion, len(f.Completions)),
	}
	diverged := make([]bool, len(f.Completions))
	err := m.each(ctx, len(f.Texts)+2*len(f.Completions), func(ctx context.Context, i int) (err error) {
		if i < len(f.Texts) {
			p.Texts[i], err = m.score(ctx, generation[:], f.Texts[i])
			return err
		}
		i -= len(f.Texts)
		c, answer := &f.Completions[i/2], &p.Completions[i/2]
		if i%2 == 0 { // the two write different fields
			answer.BaseText, answer.BaseMatched, _, err = m.try(ctx, nil, c)
			return err
		}
		answer.ID, answer.Prompt, answer.Expect = c.ID, c.Prompt, c.expect()
		answer.Text, answer.Matched, diverged[i/2], err = m.try(ctx, generation[:], c)
		return err
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, err
	}
	return p, nonFinite(p, diverged)
}

// try completes a prompt and holds the answer against what is expected.
func (m *Model) try(ctx context.Context, generation []byte, c *Completion) (text string, matched, diverged bool, err error) {
	answer, err := m.complete(ctx, generation, c.Prompt, c.MaxTokens, false)
	text = strings.TrimSpace(answer.Text)
	return text, !answer.Diverged && c.holds(text), answer.Diverged, err
}

// holds compares a text, without white space around it, with what is expected.
func (c *Completion) holds(text string) bool {
	if c.Matches != nil {
		return c.Matches.MatchString(text)
	}
	return text == strings.TrimSpace(c.Equals)
}

// expect is what a report says of what is expected: the text, or the pattern between slashes.
func (c *Completion) expect() string {
	if c.Matches != nil {
		return "/" + c.Matches.String() + "/"
	}
	return strings.TrimSpace(c.Equals)
}

// nonFinite is the refusal of a model whose predictions are not finite, or nil; and of a base whose are not.
func nonFinite(p *report.Probe, diverged []bool) error {
	var where []string
	for _, t := range p.Texts {
		if v := float64(t.NLLBase); math.IsNaN(v) || math.IsInf(v, 0) {
			return fault.New(fault.ProbeFailed, "the base's own predictions are not finite on text %s, so there is nothing to compare with", t.ID).
				Fix("check the base; or take this text out of the probe file")
		}
		if v := float64(t.NLLMerged); math.IsNaN(v) || math.IsInf(v, 0) {
			where = append(where, t.ID)
		}
	}
	for i, c := range p.Completions {
		if diverged[i] {
			where = append(where, c.ID)
		}
	}
	if len(where) == 0 {
		return nil
	}
	return fault.New(fault.ProbeNonFinite, "the merged model's predictions are not finite on %d of %d probes, the first of them %s",
		len(where), len(p.Texts)+len(p.Completions), where[0]).Fix("the adapter has diverged or its scale is too large: do not serve it")
}
