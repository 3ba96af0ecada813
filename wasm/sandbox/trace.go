package sandbox

import "time"

// Trace is what the host calls of a run cost, by the name of the ABI's function. Options.Trace asks for it.
type Trace map[string]CallCost

// CallCost is what all calls of one function cost.
type CallCost struct {
	Count int64 `json:"count"`
	NS    int64 `json:"ns"` // nanoseconds in the host, over all of them
}

// begin gives the time when a call begins, for end; nothing is measured without a trace, since a clock costs as much as a small call.
func (t Trace) begin() (start time.Time) {
	if t != nil {
		start = time.Now()
	}
	return start
}

// end counts a call that began at start.
func (t Trace) end(name string, start time.Time) {
	if t != nil {
		cost := t[name]
		t[name] = CallCost{Count: cost.Count + 1, NS: cost.NS + time.Since(start).Nanoseconds()}
	}
}
