// Package diag is what a Tenon diagnostic written in Go needs: it turns guest ABI v1 (package abi) into Go values. A diagnostic is a main
// package that registers one function:
//
//	package main
//
//	import "github.com/tenon-ml/tenon/sdk/diag"
//
//	func init() { diag.Register(diagnose) }
//	func main() {}
//
//	func diagnose(run *diag.Run) error {
//		for _, target := range run.Targets() {
//			delta, err := target.DeltaSVD()
//			if err != nil {
//				return err
//			}
//			target.Metric("my_rank", float64(len(delta.S)))
//			delta.Drop()
//		}
//		return nil
//	}
//
// It is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w" -o NAME.wasm .
//
// and its logic is tested natively with package diagtest. A module may import only what its manifest NAME.json grants, and the linker
// leaves out what the diagnostic never calls, so nothing here costs a capability until it is used. Neither this package nor abi imports fmt
// or encoding/json; a diagnostic that does grows by a megabyte and takes twice as long to compile.
package diag

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/internal/host"
)

// The severities of a finding. A finding proposes; the operator's policy decides.
const (
	Info = abi.Info // worth knowing
	Warn = abi.Warn // a person should look
	Deny = abi.Deny // this adapter should not be merged
)

var registered func(*Run) error

// Register names the function that is the diagnostic. It is called from an init function, once.
func Register(diagnose func(*Run) error) {
	if registered != nil {
		panic("diag: Register called twice")
	}
	registered = diagnose
}

// RegisterAll is Register for a guest that holds several diagnostics: the one that runs is the one whose id the host gives as the
// attribute module.id.
func RegisterAll(diagnostics map[string]func(*Run) error) { Register(dispatch(diagnostics)) }

func dispatch(diagnostics map[string]func(*Run) error) func(*Run) error {
	return func(run *Run) error {
		id, ok := run.Attr("module.id")
		if !ok {
			return &Error{Call: "attr module.id", Status: abi.NotFound, Text: "this guest holds several diagnostics and was not told which to run"}
		}
		diagnose := diagnostics[id]
		if diagnose == nil {
			return &Error{Call: "attr module.id", Status: abi.NotFound, Text: "this guest holds no diagnostic called " + id}
		}
		return diagnose(run)
	}
}

// Call runs diagnose against the host of this process and gives its error, or else the first one the Run kept. The text of the error is
// logged. A guest's export does this with the registered function, diagtest with the function under test.
func Call(diagnose func(*Run) error) error {
	run := &Run{}
	err := run.load()
	if err == nil {
		err = diagnose(run)
	}
	if err == nil {
		err = run.err
	}
	if err != nil {
		run.Log(err.Error())
	}
	return err
}

// Run is one adapter to look at. It lives until the diagnostic returns.
//
// Methods without an error result keep the first failure in the Run, which then ends with it: a result that could not be handed over, for
// instance because the limit on metrics is used up, is never a result without those metrics.
type Run struct {
	targets []Target
	err     error
}

func (r *Run) load() error {
	n := host.TargetCount()
	if n < 0 {
		return failure("target_count", n)
	}
	r.targets = make([]Target, n)
	for i := range r.targets {
		var raw [abi.TargetInfoSize]byte
		if status := host.TargetInfo(int32(i), &raw); status < 0 {
			return failure("target_info", status)
		}
		name, err := text("target_name", func(dst []byte) int32 { return host.TargetName(int32(i), dst) })
		if err != nil {
			return err
		}
		r.targets[i] = newTarget(r, name, int32(i), abi.NoPeer, &raw)
	}
	return nil
}

// Targets gives the adapted weights, sorted by name. The slice is the Run's own.
func (r *Run) Targets() []Target { return r.targets }

// Peers gives the adapters to compare with; none when there is nothing to compare. It needs the capability peers.
func (r *Run) Peers() []Peer {
	n := host.PeerCount()
	if n < 0 {
		r.keep(failure("peer_count", n))
		return nil
	}
	peers := make([]Peer, n)
	for i := range peers {
		name, err := text("peer_name", func(dst []byte) int32 { return host.PeerName(int32(i), dst) })
		r.keep(err)
		peers[i] = Peer{Name: name, run: r, index: int32(i)}
	}
	return peers
}

// Param gives the operator's setting, or the default of the module's manifest. A name that is not in the manifest is NaN and ends the run.
func (r *Run) Param(name string) float64 {
	var value float64
	if status := host.Param(name, &value); status < 0 {
		r.keep(failure("param "+name, status))
		return math.NaN()
	}
	return value
}

// Attr gives what is known of the adapter and its base under key, one of the keys that abi.Functions names at attr; false when
// nothing is known.
func (r *Run) Attr(key string) (string, bool) {
	value, err := text("attr "+key, func(dst []byte) int32 { return host.Attr(key, dst) })
	if err != nil {
		if err.Status != abi.NotFound {
			r.keep(err)
		}
		return "", false
	}
	return value, true
}

// Metric reports a number about the adapter as a whole.
func (r *Run) Metric(name string, value float64) {
	r.metric(abi.NoTarget, abi.NoPeer, name, value)
}

// Grid reports a matrix, row-major, about the adapter as a whole.
func (r *Run) Grid(name string, rows, cols int, values []float64) {
	r.grid(abi.NoTarget, abi.NoPeer, name, rows, cols, values)
}

// Finding reports what was noticed about the adapter as a whole: a code in capitals that never changes its meaning, one sentence for a
// person, what to do about it, and the number seen beside the number that was the limit.
func (r *Run) Finding(severity abi.Severity, code, message, hint string, value, limit float64) {
	r.finding(abi.NoTarget, severity, code, message, hint, value, limit)
}

// Log writes a line to the run's log. What exceeds the log's limit is lost.
func (r *Run) Log(line string) { host.Log(line) }

// keep remembers the first failure. It takes the concrete type, so that a nil stays nil.
func (r *Run) keep(err *Error) {
	if err != nil && r.err == nil {
		r.err = err
	}
}

func (r *Run) metric(target, peer int32, name string, value float64) {
	if status := host.Metric(target, peer, name, value); status < 0 {
		r.keep(failure("metric "+name, status))
	}
}

func (r *Run) grid(target, peer int32, name string, rows, cols int, values []float64) {
	if rows < 0 || cols < 0 || rows*cols != len(values) {
		r.keep(&Error{Call: "grid " + name, Status: abi.Shape, Text: "shapes do not fit: the values are not rows times columns"})
		return
	}
	if status := host.Grid(target, peer, name, int32(rows), int32(cols), values); status < 0 {
		r.keep(failure("grid "+name, status))
	}
}

func (r *Run) finding(target int32, severity abi.Severity, code, message, hint string, value, limit float64) {
	if status := host.Finding(target, int32(severity), code, message, hint, value, limit); status < 0 {
		r.keep(failure("finding "+code, status))
	}
}
