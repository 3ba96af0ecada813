package host

import (
	"context"
	"math"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/report"
)

// Likelihood is how well a base and a merged model predict texts. The means are over all predicted tokens, in nats.
type Likelihood struct {
	Texts              []report.ProbeText // in the order of the texts
	Tokens             int                // predicted
	NLLBase, NLLMerged float64
	KL                 float64 // KL(base || merged)
}

// PerplexityBase is exp of the base's mean negative log-likelihood, per token of this base's tokenizer.
func (l *Likelihood) PerplexityBase() float64 { return math.Exp(l.NLLBase) }

// PerplexityMerged is the merged model's.
func (l *Likelihood) PerplexityMerged() float64 { return math.Exp(l.NLLMerged) }

// Score measures how well the base and an adapter merged into it predict texts; with the adapter "" it measures the base alone, and the
// numbers of the merged model are the base's. It measures and judges nothing: no gate is asked, and nothing becomes live. file names where
// the texts came from in errors.
func (h *Host) Score(ctx context.Context, b *base.Base, adapterRef, file string, texts []probe.Text) (*Likelihood, error) {
	out := &Likelihood{}
	err := h.measure(ctx, b, adapterRef, "texts", func(m *probe.Model, generation []byte) (err error) {
		out.Texts, err = m.Score(ctx, generation, file, texts)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, t := range out.Texts {
		n := float64(t.Tokens)
		out.Tokens += t.Tokens
		out.NLLBase += float64(n * float64(t.NLLBase))
		out.NLLMerged += float64(n * float64(t.NLLMerged))
		out.KL += float64(n * float64(t.KL))
	}
	n := float64(out.Tokens)
	out.NLLBase, out.NLLMerged, out.KL = out.NLLBase/n, out.NLLMerged/n, out.KL/n
	return out, nil
}

// Complete goes on with each prompt, greedily, to the end of the text or of its first line, and for at most maxTokens tokens. The model is the
// base with the adapter merged into it, or the base alone with the adapter "".
func (h *Host) Complete(
	ctx context.Context, b *base.Base, adapterRef string, prompts []string, maxTokens int,
) (answers []probe.Completed, err error) {
	err = h.measure(ctx, b, adapterRef, "prompts", func(m *probe.Model, generation []byte) (err error) {
		answers, err = m.Complete(ctx, generation, prompts, maxTokens)
		return err
	})
	return answers, err
}

// measure runs a backend that holds the base, and the adapter's generation unless the adapter is "", for as long as use takes. What cannot be
// bound cannot be measured: the error says why.
func (h *Host) measure(ctx context.Context, b *base.Base, adapterRef, what string, use func(m *probe.Model, generation []byte) error) error {
	lab, err := h.newLaboratory(b)
	if err != nil {
		return err
	}
	defer lab.stop(ctx)
	var plan *merge.Plan
	if adapterRef != "" {
		binding, err := adapter.Load(adapterRef, b)
		if err != nil {
			return err
		}
		defer binding.Close()
		if plan, err = merge.NewPlan(binding, 1); err != nil {
			return err
		}
	}
	m, err := lab.model(ctx)
	if err != nil {
		return err
	}
	m.Progress = h.told(ctx, what)
	var generation []byte
	if plan != nil {
		if _, err := plan.Stage(ctx, m.Client); err != nil {
			return backendFault(err)
		}
		generation = plan.Digest[:]
	}
	return backendFault(use(m, generation))
}
