package sandbox

import (
	"io"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Input is what one run may see of an adapter and its base. The sandbox reads tensors through Source and parses no file format.
type Input struct {
	Targets []Target
	Peers   []Peer
	Attrs   map[string]string
	Params  map[string]float64
	Bank    *Bank // nil where the operator gave none
}

// Target is one adapted weight, delta W = Scale * B A.
type Target struct {
	Name        string // of the base tensor
	A, B        Source // r x in, out x r, stored row-major
	Base        Source // the stored W: out x in, or in x out where FanInFanOut; zero when there is no base
	Rank        int
	In, Out     int
	Scale       float64
	Alpha       float64
	FanInFanOut bool
	RsLoRA      bool
	BaseSVD     BaseSVD // the precomputed part of base_svd; zero when nobody asked for it
}

// BaseSVD holds the top singular triples of W (out x in), computed once for a base: U is out x k, S is k, V is in x k.
type BaseSVD struct {
	U, S, V Source
}

// Peer is another adapter on the same base, aligned with Input.Targets: Targets[i] has the name of Input.Targets[i], or is nil where the
// peer does not adapt it.
type Peer struct {
	Name    string // its digest
	Targets []*Target
}

// Bank is what the operator's bank of known adapters holds for the module that runs: what it reported of each of them as its grid "features".
type Bank struct {
	Names    []string // digests of the adapters
	Features []Matrix // of the adapter as a whole, then of Input.Targets; the zero Matrix where nobody has any
}

// Matrix is row-major. In a Bank row i belongs to Names[i], and is NaN where that adapter has no features.
type Matrix struct {
	Rows, Cols int
	Data       []float64
}

// MaxBankValues is how many numbers a Bank may hold over all its tables: what is handed to a worker in one piece.
const MaxBankValues = 4 << 20

// Source is a stored tensor and the open file it lies in. A file that shrinks gives an error, never a fault.
type Source struct {
	tensor.Ref
	Reader io.ReaderAt
}

// Present reports whether there is a tensor at all.
func (s Source) Present() bool { return s.Reader != nil }

// Status says how a run ended. Every status but OK keeps the gate closed.
type Status string

// The statuses of a run, as the report prints them.
const (
	OK         Status = "ok"
	GuestError Status = "guest_error" // diagnose returned a code above zero
	Trap       Status = "trap"        // unreachable, out of bounds, stack overflow, proc_exit, a bad pointer
	Timeout    Status = "timeout"     // the deadline passed; the worker was killed
	Memory     Status = "memory"      // a memory limit was reached; the worker died of it
	Denied     Status = "denied"      // it imports what was not granted
	Invalid    Status = "invalid"     // not a module this ABI can run
	WorkerDied Status = "worker_died" // the worker ended without an answer

	Nondeterministic Status = "nondeterministic" // two runs on the same input gave different results; whoever compares them says so
)

// Result is everything one run gave. What a guest wrote is foreign: names and codes have been checked against their grammar, messages
// are valid UTF-8 and cut to size, and nothing is escaped yet.
type Result struct {
	Status   Status
	Code     int32  // of GuestError
	Error    string // why Status is not OK
	Metrics  []Metric
	Grids    []Grid
	Findings []Finding
	Log      string
	Usage    Usage
}

// Metric is one number.
type Metric struct {
	Target int // index into Input.Targets, or -1
	Peer   int // index into Input.Peers, or -1
	Name   string
	Value  float64
}

// Grid is a matrix of numbers, row-major.
type Grid struct {
	Target, Peer int
	Name         string
	Rows, Cols   int
	Values       []float64
}

// Finding is what a guest noticed.
type Finding struct {
	Target       int
	Severity     abi.Severity
	Code         string
	Message      string
	Hint         string
	Value, Limit float64
}

// Usage is what a run cost.
type Usage struct {
	Wall      int64 // nanoseconds, without compilation
	CPU       int64 // nanoseconds of the process
	Compile   int64 // nanoseconds; a warm cache makes it small
	PeakBytes int64 // linear memory plus tensors held for the guest
	HostCalls int64

	ResidentBytes int64 // the most memory that the worker's process held, in which all of these lie; 0 where nobody knows
}
