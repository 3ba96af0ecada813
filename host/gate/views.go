package gate

import (
	"fmt"
	"slices"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// view is one matrix of the base and the two factors that change it, as the modules see it: what the ABI calls a target. A weight of several
// blocks, as the experts of a layer are, has a view for each.
type view struct {
	name    string // of the base tensor, and for a block its number: "experts.down_proj[3]"
	target  *adapter.Target
	binding *adapter.Binding
	base    base.Tensor // the stored matrix; Shape is nil without a base
	a, b    tensor.Ref
}

// viewsOf returns the matrices that modules see, in the order of the targets, and the targets that no module sees.
func viewsOf(b *adapter.Binding) (views []view, unseen []*adapter.Target) {
	for i := range b.Targets {
		t := &b.Targets[i]
		if !isSeen(t) {
			unseen = append(unseen, t)
			continue
		}
		blocks := max(t.Blocks, 1)
		for n := range blocks {
			v := view{name: t.Name, target: t, binding: b, a: part(t.A.Ref, n, t.Rank, t.In), b: part(t.B.Ref, n, t.Out, t.Rank)}
			if blocks > 1 {
				v.name = fmt.Sprintf("%s[%d]", t.Name, n)
			}
			if t.Base.Shape != nil {
				rows, cols := t.Matrix()
				v.base = base.Tensor{Ref: part(t.Base.Ref, n, rows/blocks, cols)}
				v.base.Name = v.name
			}
			views = append(views, v)
		}
	}
	return views, unseen
}

// isSeen reports whether modules see a target: two factors that are added to a matrix of the base. A bias is no matrix.
func isSeen(t *adapter.Target) bool {
	return t.LowRank() && t.Start.Shape == nil && (t.In > 1 || len(t.Base.Shape) != 1)
}

// part is block n of a stored tensor that is as many matrices of rows x cols, one after the other.
func part(ref tensor.Ref, n, rows, cols int) tensor.Ref {
	ref.Length = int64(rows) * int64(cols) * int64(ref.DType.Size())
	ref.Offset += int64(n) * ref.Length
	ref.Shape = []int{rows, cols}
	return ref
}

// factors is the matrix without its base.
func (v *view) factors() *sandbox.Target {
	t := v.target
	files := v.binding.Files()
	source := func(ref tensor.Ref) sandbox.Source { return sandbox.Source{Ref: ref, Reader: files[ref.File]} }
	return &sandbox.Target{Name: v.name, A: source(v.a), B: source(v.b), Rank: t.Rank, In: t.In, Out: t.Out,
		Scale: t.Scale, Alpha: t.Alpha, FanInFanOut: t.FanInFanOut, RsLoRA: v.binding.Adapter.Config.RsLoRA}
}

// unseenFindings say which changes the diagnostics had no part in. A replaced tensor is in the coverage, and the host has looked at its values; what is a
// change of the base without being two factors deserves a person's look.
func unseenFindings(b *adapter.Binding, unseen []*adapter.Target) []report.Finding {
	var findings []report.Finding
	add := func(names []string, severity report.Severity, cause, hint string) {
		if len(names) > 0 {
			findings = append(findings, report.Finding{Code: string(fault.ADUnseen), Severity: severity, Target: names[0],
				Message: fmt.Sprintf("%s: %s", cause, some(names)), Hint: hint, Value: report.Number(len(names))})
		}
	}
	var whole, replaced, scaled []string
	for _, t := range unseen {
		if t.LowRank() || t.Dense.Shape != nil {
			whole = append(whole, t.Name)
		} else {
			replaced = append(replaced, t.Name)
		}
	}
	for _, t := range b.Targets {
		if t.Magnitude.Shape != nil && isSeen(&t) {
			scaled = append(scaled, t.Name)
		}
	}
	add(whole, report.Warn, "the diagnostics, which look at two factors of a matrix, did not see how these change",
		"the host has checked that all values are finite; read the model's own evaluation before you trust them")
	add(replaced, report.Info, "replaced as a whole, so there is no change for diagnostics to look at",
		"the host has checked that all values are finite")
	add(scaled, report.Info, "the diagnostics saw the factors, not the magnitudes that scale the merged weights (DoRA)",
		"norms and overlaps are of the direction's change")
	return findings
}

// changesBeside reports whether the adapter changes the base in ways that no module sees.
func changesBeside(b *adapter.Binding, unseen []*adapter.Target) bool {
	return len(unseen) > 0 || slices.ContainsFunc(b.Targets, func(t adapter.Target) bool { return t.Magnitude.Shape != nil })
}

// relativize turns what modules say of the adapter as a whole, that it changes nothing, into a warning: they have not seen the whole. An adapter that
// really changes nothing is refused when it is merged.
func relativize(findings []report.Finding) {
	for i := range findings {
		if f := &findings[i]; f.Code == string(fault.ADNoEffect) && f.Module != "" && f.Target == "" && f.Severity == report.DenySeverity {
			f.Severity = report.Warn
			f.Message += "; what it replaces or scales besides was not seen"
		}
	}
}

// some is the first few names, and how many more there are.
func some(names []string) string {
	const most = 5
	text := ""
	for i, name := range names {
		if i == most {
			return fmt.Sprintf("%s and %d more", text, len(names)-most)
		}
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text
}
