// Package convert writes a LoRA adapter again in another format: PEFT's directory as a GGUF file for llama.cpp, and a GGUF file as a PEFT
// directory. The change of every weight stays the same.
//
// The two formats name the weights differently, and three things besides differ. llama.cpp knows one alpha for all weights, and its scale is
// alpha/rank; a scale that is not of this form, as rank-stabilised LoRA and alpha patterns give, is folded into the factor B, which is rounded
// once and takes four bytes an entry where the stored type cannot hold the product. In the llama family the rows of the queries and keys stand
// in another order (see gguf.RowsToGGUF), so the rows of their B do. And llama.cpp wants the A of a token embedding transposed. Nothing else
// happens to a factor: without a fold, and unless another type is asked for, its entries are the same bits in both formats.
//
// What has no form in the other format is refused by its name: llama.cpp adds products of two factors to matrices and does nothing else.
package convert

import (
	"fmt"
	"io"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Options say how the factors are written.
type Options struct {
	DType tensor.DType // F32, F16 or BF16; Invalid keeps the type of each factor
}

// Plan is a converted adapter before it is written. It borrows the adapter, which must stay open.
type Plan struct {
	From, To string   // adapter.FormatPEFT or adapter.FormatGGUF
	Weights  []Weight // by the name in the source
	Alpha    float64  // that the new file gives
	Dropped  []string // tensors of the source that no reader applies, and that the new file does not have
	Notes    fault.List
	Bytes    int64 // of the file of weights that is written

	source *adapter.Adapter
	form   form
}

// Weight is one weight of the base and its two factors, before and after.
type Weight struct {
	Source, Target string // the weight's name in both formats
	Rank           int
	Scale          float64 // of the source
	Folded         float64 // what the entries of B were multiplied with; 1 where its bits are kept
	Heads          int     // of the rows that were put in another order; 0 where they keep theirs
	Rounded        int64   // entries of A and B that are not exactly what the source gives
	RoundedBy      float64 // the largest of their relative changes
	A, B           tensor.DType

	a, b *factor
}

// CheckBase refuses a base that is a GGUF file: only the Hugging Face checkpoint that it was made of names the modules as PEFT does.
func CheckBase(b *base.Base) error {
	if b.GGUF() == nil {
		return nil
	}
	return fault.New(fault.UsageFlag, "the base is a GGUF file, which does not name the modules as PEFT does").In(b.Ref).
		Fix("give the Hugging Face checkpoint that it was converted from")
}

// form is the format that is written.
type form interface {
	// layout measures the file of weights.
	layout(p *Plan) (bytes int64, err error)
	// write makes what is published, at a path where there is nothing.
	write(p *Plan, path string) error
	// verify opens what was written, and holds the scale and the factors of every weight against the plan.
	verify(p *Plan, path string) error
}

// settle measures every factor and lays the file out.
func (p *Plan) settle(o Options) error {
	var problems fault.List
	for i := range p.Weights {
		w := &p.Weights[i]
		for _, f := range []*factor{w.a, w.b} {
			if e := f.settle(o.DType); e != nil {
				problems.Add(e.In(p.source.Weights.Name()).Of(f.tensor.Name))
			}
			w.Rounded += f.rounded
			w.RoundedBy = max(w.RoundedBy, f.roundedBy)
		}
		w.A, w.B = w.a.dtype, w.b.dtype
	}
	if err := problems.Err(); err != nil {
		return err
	}
	var err error
	p.Bytes, err = p.form.layout(p)
	return err
}

// writeFactors writes the data of the factors, in their order.
func writeFactors(w io.Writer, factors []*factor) error {
	for _, f := range factors {
		data, err := f.bytes()
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// notApplied are the tensors that a binding ignores by a rule.
func notApplied(b *adapter.Binding) []string {
	var names []string
	for _, t := range b.Coverage.Tensors {
		if t.Rule != "" {
			names = append(names, t.Name)
		}
	}
	return names
}

func (p *Plan) mismatch(cause string, args ...any) error {
	return fault.New(fault.MergeMismatch, "what was written does not read back: "+cause, args...).In(p.source.Ref).Fix("report this as a fault of Tenon")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
