package adapter

import (
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// leavesOf returns the parameters of a module that target_parameters may mean, by the ends of their paths (peft/tuners/tuners_utils.py,
// _inject_parameters); nil for a module that target_modules selects, and PEFT wraps as such.
func (c *Config) leavesOf(module string) []string {
	if len(c.Parameters) == 0 || c.Selector.known() && c.Selector.Selects(module) {
		return nil
	}
	var leaves []string
	for _, name := range c.Parameters {
		of, leaf := parent(name), lastElement(name)
		if of == "" || of == module || strings.HasSuffix(module, "."+of) {
			leaves = append(leaves, leaf)
		}
	}
	slices.Sort(leaves)
	return slices.Compact(leaves)
}

// The model types whose experts' weights are stored as [experts, in, out] (is_transposed in transformers) and as [experts, out, in]. Of others
// only the shapes tell.
var (
	transposedExperts = map[string]bool{"gpt_oss": true, "aria": true, "aria_text": true, "openai_privacy_filter": true}
	straightExperts   = map[string]bool{"granitemoe": true, "jamba": true, "lfm2_moe": true}
)

// expertFit is how the factors of one wrapper fit one parameter.
type expertFit struct {
	fused
	leaf        string
	fits        bool // but for the rank
	sameRank    bool
	square      bool // both orders of a block fit, and the model type does not tell
	rank        int
	in, out     int
	fanInFanOut bool // stored as [experts, in, out]
}

// bindParameters makes the targets of the wrappers around one module's parameters. Which wrapper belongs to which parameter is not in the file:
// PEFT wraps them in the order in which the model's code registers them, the first one innermost, so the shapes must tell.
func (j *joint) bindParameters(wrappers []*group) {
	module := j.renamed(wrappers[0].module)
	var parameters []fused
	var names []string
	for _, leaf := range wrappers[0].leaves {
		if p, ok := findFused(j.base, module, leaf); ok {
			parameters = append(parameters, p)
			names = append(names, leaf)
		}
	}
	each := func(e fault.Error) {
		for _, g := range wrappers {
			own := e
			j.refuseModule(g, &own)
		}
	}
	switch {
	case len(names) == 0:
		for _, g := range wrappers {
			j.lacks(g, module+"."+g.leaves[0])
		}
		return
	case len(names) != len(wrappers) || wrappers[len(wrappers)-1].depth != len(wrappers)-1:
		each(*fault.New(fault.ADPair, "the base has %s of module %s that target_parameters names (%s), and the file has factors for %d",
			plural(len(names), "parameter"), module, some(names), len(wrappers)).
			Fix("save the adapter again; one of its tensors is missing, or the configuration is another's"))
		return
	case len(names) > maxParameters:
		each(*fault.New(fault.ADUnsupported, "module %s has %d adapted parameters, and which factors belong to which cannot be told",
			module, len(names)).Fix("merge the adapter with PEFT"))
		return
	}
	for _, g := range wrappers {
		if !g.paired {
			return // its factors are refused already
		}
	}
	if j.Config.residual() {
		each(*fault.New(fault.ADUnsupported, "%s is a parameter and no linear module, and %s is for those only", some(names), j.Config.InitWeights).
			Fix("give the configuration that was saved with these weights"))
		return
	}
	j.assign(module, wrappers, parameters, names)
}

// maxParameters is how many parameters of one module are told apart.
const maxParameters = 4

// assign finds the one order of the parameters in which every wrapper's factors fit.
func (j *joint) assign(module string, wrappers []*group, parameters []fused, names []string) {
	fits := orders(wrappers, parameters, names, func(g *group, p fused, leaf string) expertFit { return j.fit(g, p, leaf) })
	right := slices.DeleteFunc(slices.Clone(fits), func(order []expertFit) bool {
		return slices.ContainsFunc(order, func(f expertFit) bool { return !f.sameRank })
	})
	for at, g := range wrappers {
		a, b := g.factors.A.Shape, g.factors.B.Shape
		switch {
		case len(fits) == 0:
			j.refuseModule(g, fault.New(fault.ADShape, "lora_A has shape %v and lora_B %v, which fit the base's parameters %s of %s in no order, "+
				"the first of which has shape %v", a, b, some(names), module, parameters[0].shape).
				Fix("give the base this adapter was trained on%s", j.trainedOn()))
		case len(right) == 0:
			f := fits[0][at]
			j.refuseModule(g, fault.New(fault.ADRankMismatch, "the configuration gives %s rank %d, and the factors have rank %d for each of %s",
				f.name, f.rank, a[0]/f.experts(), plural(f.experts(), "expert")).Fix("give the configuration that was saved with these weights, with its rank_pattern"))
		case len(right) > 1:
			j.refuseModule(g, fault.New(fault.ADUnsupported, "the factors fit the parameters of %s (%s) in more than one way, and which were "+
				"trained on which is not in the file", module, some(names)).Fix("train one of the parameters at a time, or merge the adapter with PEFT"))
		case right[0][at].square:
			j.refuseModule(g, fault.New(fault.ADUnsupported, "each expert of %q is square, and whether a %q model stores it out x in or in x out "+
				"is not known", right[0][at].name, j.base.Config.ModelType).Fix("merge the adapter with PEFT"))
		case !computable(right[0][at].dtype):
			j.refuseModule(g, unmergeable(right[0][at].name, right[0][at].dtype))
		default:
			j.addExperts(g, right[0][at])
		}
	}
}

// orders returns every way to give each wrapper a parameter of its own that its factors fit.
func orders(wrappers []*group, parameters []fused, names []string, fit func(*group, fused, string) expertFit) (all [][]expertFit) {
	current := make([]expertFit, len(wrappers))
	used := make([]bool, len(names))
	var place func(at int)
	place = func(at int) {
		if at == len(wrappers) {
			all = append(all, slices.Clone(current))
			return
		}
		for n := range names {
			if used[n] {
				continue
			}
			if f := fit(wrappers[at], parameters[n], names[n]); f.fits {
				used[n], current[at] = true, f
				place(at + 1)
				used[n] = false
			}
		}
	}
	place(0)
	return all
}

// fit holds the factors of one wrapper against one parameter: A is experts·rank x in and B out x rank·experts.
func (j *joint) fit(g *group, p fused, leaf string) expertFit {
	f := expertFit{fused: p, leaf: leaf, rank: j.Config.RankOf(g.module + "." + leaf)}
	if len(p.shape) != 2 && len(p.shape) != 3 || slices.Contains(p.shape, 0) {
		return f
	}
	rows, cols := p.shape[len(p.shape)-2], p.shape[len(p.shape)-1]
	a, b := g.factors.A.Shape, g.factors.B.Shape
	if a[0]%p.experts() != 0 || b[1] != a[0] {
		return f
	}
	f.in, f.out = a[1], b[0]
	f.sameRank = a[0]/p.experts() == f.rank
	straight, transposed := f.out == rows && f.in == cols, len(p.shape) == 3 && p.pieces == nil && f.out == cols && f.in == rows
	f.fanInFanOut, f.fits = transposed, straight || transposed
	if straight && transposed {
		kind := j.base.Config.ModelType
		f.fanInFanOut = transposedExperts[kind]
		f.square = !f.fanInFanOut && !straightExperts[kind] && unfusedNames[kind] == nil
	}
	return f
}
