// Package report is what Tenon says about an adapter: the model of schema tenon.report/v1 and its renderers.
package report

import (
	"fmt"
	"math"
	"strconv"
)

// SchemaVersion is the schema of Report. Its enums only grow.
const SchemaVersion = "tenon.report/v1"

// Verdict is the gate's answer.
type Verdict string

// The verdicts, from open to closed.
const (
	Admit        Verdict = "admit"
	WarnVerdict  Verdict = "warn" // admitted, with warnings
	Deny         Verdict = "deny"
	Inconclusive Verdict = "inconclusive" // a diagnostic did not run to its end: closed
)

// Open reports whether an adapter with this verdict may be merged. Anything unknown is closed.
func (v Verdict) Open() bool { return v == Admit || v == WarnVerdict }

// Severity of a finding.
type Severity string

// The severities.
const (
	Info         Severity = "info"
	Warn         Severity = "warn"
	DenySeverity Severity = "deny"
)

// Disposition is where a tensor of an adapter ended. Every tensor has one.
type Disposition string

// The dispositions.
const (
	Applied  Disposition = "applied"
	Replaced Disposition = "replaced"
	Ignored  Disposition = "ignored"
	Rejected Disposition = "rejected"
)

// Report is one check. Everything but Usage is a function of the inputs' bytes.
type Report struct {
	SchemaVersion string    `json:"schemaVersion"`
	Verdict       Verdict   `json:"verdict"`
	Adapter       Adapter   `json:"adapter"`
	Base          Base      `json:"base"`
	Peers         []Peer    `json:"peers"`
	Bank          *Bank     `json:"bank,omitzero"`
	Probe         *Probe    `json:"probe,omitzero"`
	Policy        Policy    `json:"policy"`
	Coverage      Coverage  `json:"coverage"`
	Modules       []Module  `json:"modules"`
	Metrics       []Metric  `json:"metrics"`
	Grids         []Grid    `json:"grids"`
	Findings      []Finding `json:"findings"`
}

// Adapter is the subject. Rank and Scale hold the distinct values, ascending.
type Adapter struct {
	Ref        string   `json:"ref"`
	Format     string   `json:"format"`
	Digest     string   `json:"digest"` // "sha256:…"
	Rank       []int    `json:"rank"`
	Scale      []Number `json:"scale"`
	Parameters int64    `json:"parameters"`
}

// Base is the checkpoint the adapter was checked against.
type Base struct {
	Ref        string `json:"ref"`
	Digest     string `json:"digest"`
	DType      string `json:"dtype"` // of most of its bytes
	Parameters int64  `json:"parameters"`
}

// Peer is an adapter the subject was compared with; metrics and grids name it by its digest.
type Peer struct {
	Ref    string `json:"ref"`
	Digest string `json:"digest"`
}

// Bank is the operator's bank of known adapters that the subject was held against.
type Bank struct {
	Digest   string `json:"digest"`
	Adapters int    `json:"adapters"`
}

// Probe is what the merged model said before it went live, beside what the base says. NLL and KL are means over the predicted tokens, in
// nats; KL is of the merged model's next-token distribution from the base's, KL(base || merged).
type Probe struct {
	Digest      string            `json:"digest"` // of the probe file
	Texts       []ProbeText       `json:"texts"`
	Completions []ProbeCompletion `json:"completions"`
}

// ProbeText is one text that both models were shown.
type ProbeText struct {
	ID        string `json:"id"`
	Role      string `json:"role"` // "task": the adapter was made for it; "general": it should stay as it is
	Tokens    int    `json:"tokens"`
	NLLBase   Number `json:"nllBase"`
	NLLMerged Number `json:"nllMerged"`
	KL        Number `json:"kl"`

	NLLExpected *Number `json:"nllExpected,omitzero"` // what the file says the merged model should give; nil where it says nothing
}

// ProbeCompletion is one prompt that both models completed, greedily.
type ProbeCompletion struct {
	ID          string `json:"id"`
	Prompt      string `json:"prompt"`
	Expect      string `json:"expect"` // the text, or the pattern between slashes
	Text        string `json:"text"`
	BaseText    string `json:"baseText"`
	Matched     bool   `json:"matched"`
	BaseMatched bool   `json:"baseMatched"`
}

// Policy is what decided.
type Policy struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// Coverage accounts for every tensor of the adapter.
type Coverage struct {
	Applied  int      `json:"applied"`
	Replaced int      `json:"replaced"`
	Ignored  int      `json:"ignored"`
	Rejected int      `json:"rejected"`
	Tensors  []Tensor `json:"tensors"`
}

// Tensor is one tensor of the adapter and where it ended.
type Tensor struct {
	Name        string      `json:"name"`
	Disposition Disposition `json:"disposition"`
	Target      string      `json:"target"` // base tensor, or ""
	Rule        string      `json:"rule"`   // fault code or name of the rule that ignored or rejected it, or ""
}

// Add counts and appends.
func (c *Coverage) Add(t Tensor) {
	switch t.Disposition {
	case Applied:
		c.Applied++
	case Replaced:
		c.Replaced++
	case Ignored:
		c.Ignored++
	default:
		c.Rejected++
	}
	c.Tensors = append(c.Tensors, t)
}

// Module is one diagnostic, and how it ran.
type Module struct {
	ID             string `json:"id"`
	Version        string `json:"version"`
	Origin         string `json:"origin,omitzero"` // BuiltIn, or the file that the policy names
	SHA256         string `json:"sha256"`          // hex, of the guest
	ManifestSHA256 string `json:"manifestSha256,omitzero"`
	Cost           string `json:"cost,omitzero"` // "factors", "weights" or "vectors"
	Status         string `json:"status"`
	Error          string `json:"error,omitzero"`
	Sandbox        string `json:"sandbox"`       // "full" or "partial"
	Runs           int    `json:"runs,omitzero"` // 2 where two runs were compared
	Log            string `json:"log,omitzero"`  // what it said, and in brackets at the end what the sandbox cut or refused
	Usage          Usage  `json:"usage"`
}

// BuiltIn is the origin of a module that ships with Tenon.
const BuiltIn = "built-in"

// Usage is what a run cost; it is the only part of a report that differs between two runs.
type Usage struct {
	WallMs    float64 `json:"wallMs"`
	CPUMs     float64 `json:"cpuMs"`
	CompileMs float64 `json:"compileMs"`
	PeakBytes int64   `json:"peakBytes"`
	HostCalls int64   `json:"hostCalls"`

	ResidentBytes int64 `json:"residentBytes,omitzero"` // the most memory that the worker's process held
}

// Metric is one number about one target; Target is "" for the adapter as a whole, With the digest of the adapter compared with.
type Metric struct {
	Module string `json:"module"`
	Target string `json:"target"`
	Name   string `json:"name"`
	With   string `json:"with,omitzero"`
	Value  Number `json:"value"`
}

// Grid is a matrix of numbers.
type Grid struct {
	Module string     `json:"module"`
	Target string     `json:"target"`
	Name   string     `json:"name"`
	With   string     `json:"with"`
	Rows   int        `json:"rows"`
	Cols   int        `json:"cols"`
	Values [][]Number `json:"values"`
}

// Finding is something a person should read.
type Finding struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Module   string   `json:"module"` // "" for the host itself, "policy" for a rule
	Target   string   `json:"target"`
	Message  string   `json:"message"`
	Value    Number   `json:"value"`
	Limit    Number   `json:"limit"`
	Hint     string   `json:"hint"`
}

// Number is a float64 whose JSON is a number, or one of the strings "NaN", "+Inf", "-Inf".
type Number float64

// MarshalJSON writes the shortest text that reads back as the same float64.
func (n Number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	switch {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"+Inf"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Inf"`), nil
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(nil, f, format, -1, 64), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *Number) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case `"NaN"`:
		*n = Number(math.NaN())
	case `"+Inf"`:
		*n = Number(math.Inf(1))
	case `"-Inf"`:
		*n = Number(math.Inf(-1))
	default:
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return fmt.Errorf("%q is not a number of a report", text)
		}
		*n = Number(f)
	}
	return nil
}
