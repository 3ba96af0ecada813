package gate

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// agreed is the result of two runs on the same input: the first, where the second gave the same bits in the same order, and otherwise
// Nondeterministic with the first difference. What both cost is added up.
func agreed(first, second sandbox.Result) sandbox.Result {
	a, b := first.Usage, second.Usage
	cost := sandbox.Usage{Wall: a.Wall + b.Wall, CPU: a.CPU + b.CPU, Compile: a.Compile + b.Compile, HostCalls: a.HostCalls + b.HostCalls,
		PeakBytes: max(a.PeakBytes, b.PeakBytes), ResidentBytes: max(a.ResidentBytes, b.ResidentBytes)}
	switch second.Status { // which says something of the machine as well, and of the module only when the first run ended so too
	case sandbox.Timeout, sandbox.Memory, sandbox.WorkerDied:
		second.Usage = cost
		return second
	}
	if text := difference(first, second); text != "" {
		return sandbox.Result{Status: sandbox.Nondeterministic, Error: "two runs on the same input differ: " + text, Usage: cost}
	}
	first.Usage = cost
	return first
}

// difference says where two results first differ; "" where they do not.
func difference(a, b sandbox.Result) string {
	if a.Status != b.Status || a.Code != b.Code {
		return fmt.Sprintf("the first ended with %s %d, the second with %s %d (%s)", a.Status, a.Code, b.Status, b.Code, b.Error)
	}
	if text := unlike("metric", a.Metrics, b.Metrics, func(a, b sandbox.Metric) string {
		return parted(fmt.Sprintf("%s of target %d", a.Name, a.Target), a.Target == b.Target && a.Peer == b.Peer && a.Name == b.Name,
			[]float64{a.Value}, []float64{b.Value})
	}); text != "" {
		return text
	}
	if text := unlike("grid", a.Grids, b.Grids, func(a, b sandbox.Grid) string {
		return parted(fmt.Sprintf("%s of target %d", a.Name, a.Target),
			a.Target == b.Target && a.Peer == b.Peer && a.Name == b.Name && a.Rows == b.Rows && a.Cols == b.Cols, a.Values, b.Values)
	}); text != "" {
		return text
	}
	if text := unlike("finding", a.Findings, b.Findings, func(a, b sandbox.Finding) string {
		return parted(fmt.Sprintf("%s of target %d", a.Code, a.Target),
			a.Target == b.Target && a.Severity == b.Severity && a.Code == b.Code && a.Message == b.Message && a.Hint == b.Hint,
			[]float64{a.Value, a.Limit}, []float64{b.Value, b.Limit})
	}); text != "" {
		return text
	}
	if a.Log != b.Log {
		n := 0
		for n < min(len(a.Log), len(b.Log)) && a.Log[n] == b.Log[n] {
			n++
		}
		return fmt.Sprintf("their logs of %d and %d bytes part at byte %d", len(a.Log), len(b.Log), n)
	}
	return ""
}

// unlike compares two lists item by item.
func unlike[T any](what string, a, b []T, compare func(a, b T) string) string {
	for i := range min(len(a), len(b)) {
		if text := compare(a[i], b[i]); text != "" {
			return fmt.Sprintf("%s %d, %s", what, i+1, text)
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("the first gave %d of kind %s, the second %d", len(a), what, len(b))
	}
	return ""
}

// parted says how two items differ, the first of which is called name: in numbers, bit for bit, or in what is not a number.
func parted(name string, same bool, a, b []float64) string {
	if !same {
		return name + ", is another in the second run"
	}
	for i := range a {
		if x, y := math.Float64bits(a[i]), math.Float64bits(b[i]); x != y {
			return fmt.Sprintf("%s, is %v (%#x) and then %v (%#x)", name, a[i], x, b[i], y)
		}
	}
	return ""
}
