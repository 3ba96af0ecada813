package abi

import "cmp"

// Manifest is the sidecar NAME.json of a guest NAME.wasm: what it is and what it needs. The guest's import list is the truth: a module
// that imports a function whose capability its manifest does not name is refused.
type Manifest struct {
	ID          string               `json:"id"`             // lower case letters, digits and hyphens
	Version     string               `json:"version"`        // semantic version of the module
	Title       string               `json:"title"`          // one line for people
	Guest       string               `json:"guest,omitzero"` // file of the guest without .wasm, where several modules share one and tell themselves apart by attr module.id; else the id
	Cost        Cost                 `json:"cost"`
	Needs       []Capability         `json:"needs"`
	BaseSVDRank int                  `json:"base_svd_rank,omitzero"` // above 0: base_svd is asked for, up to this k; below 0: one of the constants
	Params      map[string]Parameter `json:"params,omitzero"`
	Limits      Limits               `json:"limits,omitzero"` // what it needs to end: a run that would get less is refused before it begins; zero fields ask for nothing
	SHA256      string               `json:"sha256,omitzero"` // of the guest, 64 lower-case hexadecimal digits; a guest that has another is refused
}

// What a manifest can ask of base_svd beside a number. A policy that does not grant it answers Unsupported.
const (
	BaseSVDTargetRank = -1 // as many triples as the target's rank
	BaseSVDTenth      = -2 // a tenth of the smaller dimension of W, 16 at least
	BaseSVDAll        = -3 // all of them, up to the host's limit
)

// Cost is what makes a module slow.
type Cost string

// The costs, from cheap to dear.
const (
	CostFactors Cost = "factors" // it reads the adapter's factors alone: seconds for the largest adapter
	CostWeights Cost = "weights" // it passes once over each adapted weight of the base
	CostVectors Cost = "vectors" // it needs singular vectors of the base: many passes, minutes for a large base the first time
)

// Parameter is a setting of a module.
type Parameter struct {
	Default float64 `json:"default"`
	Doc     string  `json:"doc"`
}

// Limits bound one run. A zero field means the default.
type Limits struct {
	GuestMemory   int64 `json:"guest_memory,omitzero"` // bytes of linear memory
	HostTensors   int64 `json:"host_tensors,omitzero"` // bytes of tensors held for the guest
	Metrics       int   `json:"metrics,omitzero"`
	GridValues    int   `json:"grid_values,omitzero"` // over all grids
	Findings      int   `json:"findings,omitzero"`
	LogBytes      int   `json:"log_bytes,omitzero"`
	HostCalls     int64 `json:"host_calls,omitzero"`
	RunMillis     int64 `json:"run_ms,omitzero"`
	CompileMillis int64 `json:"compile_ms,omitzero"`
}

// DefaultLimits are the limits of a run nobody configured.
var DefaultLimits = Limits{
	GuestMemory: 64 << 20, HostTensors: 256 << 20, Metrics: 10_000, GridValues: 4 << 20, Findings: 1_000, LogBytes: 64 << 10,
	HostCalls: 10_000_000, RunMillis: 10_000, CompileMillis: 30_000,
}

// MaxLimits are the most that anyone can give: beyond them lies no honest run, and sums of them still fit an int64.
var MaxLimits = Limits{
	GuestMemory: 4 << 30, HostTensors: 1 << 40, Metrics: 10_000_000, GridValues: 1 << 30, Findings: 1_000_000, LogBytes: 64 << 20,
	HostCalls: 1_000_000_000_000, RunMillis: 7 * 24 * 3600 * 1000, CompileMillis: 3600 * 1000,
}

// WithDefaults replaces each zero field by its default, and what is above MaxLimits by that.
func (l Limits) WithDefaults() Limits {
	d, m := DefaultLimits, MaxLimits
	l.GuestMemory = min(cmp.Or(l.GuestMemory, d.GuestMemory), m.GuestMemory)
	l.HostTensors = min(cmp.Or(l.HostTensors, d.HostTensors), m.HostTensors)
	l.Metrics = min(cmp.Or(l.Metrics, d.Metrics), m.Metrics)
	l.GridValues = min(cmp.Or(l.GridValues, d.GridValues), m.GridValues)
	l.Findings = min(cmp.Or(l.Findings, d.Findings), m.Findings)
	l.LogBytes = min(cmp.Or(l.LogBytes, d.LogBytes), m.LogBytes)
	l.HostCalls = min(cmp.Or(l.HostCalls, d.HostCalls), m.HostCalls)
	l.RunMillis = min(cmp.Or(l.RunMillis, d.RunMillis), m.RunMillis)
	l.CompileMillis = min(cmp.Or(l.CompileMillis, d.CompileMillis), m.CompileMillis)
	return l
}
