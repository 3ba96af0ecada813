package moduletest

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// number reads a number; those that JSON does not have are the strings "NaN", "+Inf" and "-Inf".
func (d *reader) number(n *yaml.Node, pointer string) float64 {
	if n.Kind == yaml.ScalarNode {
		switch n.Tag {
		case "!!int", "!!float":
			if v, err := strconv.ParseFloat(n.Value, 64); err == nil {
				return v
			}
			d.Problem(n, pointer, "%s is beyond the range of a number", n.Value).Fix("an infinity is the string \"+Inf\" or \"-Inf\"")
			return 0
		case "!!str":
			switch n.Value {
			case "NaN":
				return math.NaN()
			case "Inf", "+Inf":
				return math.Inf(1)
			case "-Inf":
				return math.Inf(-1)
			}
		}
	}
	d.Problem(n, pointer, "expected a number, not %s", document.Describe(n)).Fix("what is not finite is \"NaN\", \"+Inf\" or \"-Inf\"")
	return 0
}

// matrix reads rows of numbers, all of one length.
func (d *reader) matrix(n *yaml.Node, pointer string) Matrix {
	rows := d.Sequence(n, pointer)
	if n != nil && n.Kind == yaml.SequenceNode && len(rows) == 0 {
		d.Problem(n, pointer, "a matrix has at least one row")
	}
	m := Matrix{Rows: len(rows)}
	for i, row := range rows {
		at := document.PointerTo(pointer, i)
		cells := d.Sequence(row, at)
		switch {
		case row.Kind != yaml.SequenceNode:
			return Matrix{}
		case len(cells) == 0:
			d.Problem(row, at, "a row has at least one number")
			return Matrix{}
		case i == 0:
			m.Cols = len(cells)
		case len(cells) != m.Cols:
			d.Problem(row, at, "a row of %d numbers in a matrix whose first row has %d", len(cells), m.Cols).Fix("make all rows as long")
			return Matrix{}
		}
		for j, cell := range cells {
			m.Values = append(m.Values, d.number(cell, document.PointerTo(at, j)))
		}
	}
	return m
}

// The dtypes that a case can store a matrix in.
var (
	factorDTypes = []string{"F32", "F16", "BF16"}
	baseDTypes   = []string{"F32", "F16", "BF16", "F64"}
)

func (d *reader) dtype(n *yaml.Node, pointer string, names []string) tensor.DType {
	if n == nil {
		return tensor.F32
	}
	t, _ := tensor.ParseDType(d.word(n, pointer, "dtype", names))
	return t
}

func (d *reader) readAdapter(n *yaml.Node, pointer string) *Adapter {
	values := d.Mapping(n, pointer, []string{"targets", "peers"})
	a := &Adapter{Targets: d.readTargets(values["targets"], pointer+"/targets", nil)}
	names := map[string]bool{}
	for i, item := range d.Sequence(values["peers"], pointer+"/peers") {
		at := document.PointerTo(pointer+"/peers", i)
		peer, whole := d.mapping(item, at, []string{"name", "targets"})
		p := Peer{Name: d.Text(peer["name"], at+"/name", maxText), Targets: d.readTargets(peer["targets"], at+"/targets", a.Targets)}
		if names[p.Name] || p.Name == "" && (whole || peer["name"] != nil) {
			d.Problem(item, at+"/name", "a peer needs a name of its own")
		}
		names[p.Name] = p.Name != ""
		a.Peers = append(a.Peers, p)
	}
	return a
}

// readTargets reads the targets of an adapter, or of a peer of one whose targets are own.
func (d *reader) readTargets(n *yaml.Node, pointer string, own []Target) []Target {
	var targets []Target
	keys := []string{"name", "a", "b", "base", "scale", "alpha", "base_dtype", "factor_dtype", "fan_in_fan_out", "rslora"}
	for i, item := range d.Sequence(n, pointer) {
		at := document.PointerTo(pointer, i)
		values, whole := d.mapping(item, at, keys)
		if item.Kind != yaml.MappingNode {
			continue
		}
		t := Target{Name: d.Text(values["name"], at+"/name", maxText), BaseDType: d.dtype(values["base_dtype"], at+"/base_dtype", baseDTypes),
			FactorDType: d.dtype(values["factor_dtype"], at+"/factor_dtype", factorDTypes)}
		if t.Name == "" && (whole || values["name"] != nil) {
			d.Problem(item, at, "a target needs a name").Fix("for instance \"model.layers.0.self_attn.q_proj.weight\"")
		}
		for _, key := range []string{"a", "b"} {
			if values[key] == nil && whole {
				d.Problem(item, at, "factor %s is missing", key)
			}
		}
		t.A, t.B, t.Base = d.matrix(values["a"], at+"/a"), d.matrix(values["b"], at+"/b"), d.matrix(values["base"], at+"/base")
		if v := values["fan_in_fan_out"]; v != nil {
			t.FanInFanOut = d.Boolean(v, at+"/fan_in_fan_out")
		}
		if v := values["rslora"]; v != nil {
			t.RsLoRA = d.Boolean(v, at+"/rslora")
		}
		d.readScale(&t, values, at)
		d.checkShapes(item, at, t, own)
		if slices.ContainsFunc(targets, func(other Target) bool { return other.Name == t.Name }) {
			d.Problem(item, at+"/name", "two targets are called %q", t.Name)
		}
		targets = append(targets, t)
	}
	slices.SortStableFunc(targets, func(a, b Target) int { return strings.Compare(a.Name, b.Name) })
	return targets
}

// readScale reads scale and alpha, each of which follows from the other; without both the scale is 1.
func (d *reader) readScale(t *Target, values map[string]*yaml.Node, at string) {
	rank := float64(max(t.A.Rows, 1))
	if t.RsLoRA {
		rank = math.Sqrt(rank)
	}
	t.Scale, t.Alpha = 1, rank
	if v := values["alpha"]; v != nil {
		t.Alpha = d.number(v, at+"/alpha")
		t.Scale = t.Alpha / rank
	}
	if v := values["scale"]; v != nil {
		t.Scale = d.number(v, at+"/scale")
		if values["alpha"] == nil {
			t.Alpha = t.Scale * rank
		}
	}
}

// checkShapes holds the matrices of a target against each other and, in a peer, against the adapter's own.
func (d *reader) checkShapes(n *yaml.Node, at string, t Target, own []Target) {
	if !t.A.given() || !t.B.given() {
		return
	}
	if t.B.Cols != t.A.Rows {
		d.Problem(n, at, "a is %d x %d and b is %d x %d: their product does not exist", t.A.Rows, t.A.Cols, t.B.Rows, t.B.Cols).
			Fix("a is rank x in, b is out x rank")
		return
	}
	if t.Base.given() && (t.Base.Rows != t.B.Rows || t.Base.Cols != t.A.Cols) {
		d.Problem(n, at+"/base", "base is %d x %d and b times a is %d x %d", t.Base.Rows, t.Base.Cols, t.B.Rows, t.A.Cols).
			Fix("base is out x in, also with fan_in_fan_out")
	}
	for _, o := range own {
		if o.Name == t.Name && o.A.given() && o.B.given() && (o.A.Cols != t.A.Cols || o.B.Rows != t.B.Rows) {
			d.Problem(n, at, "the adapter's own %q is %d x %d, and the peer's is %d x %d", t.Name, o.B.Rows, o.A.Cols, t.B.Rows, t.A.Cols)
		}
	}
}
