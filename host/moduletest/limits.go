package moduletest

import (
	"fmt"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// withheld runs the module without each of the capabilities that it needs. One whose functions it imports is refused before it runs; without
// the base alone it may run, and see no weight.
func (c *conformance) withheld() {
	shape, err := ReadShape(c.module.Wasm)
	if err != nil {
		c.err = err
		return
	}
	for _, need := range c.module.Manifest.Needs {
		o := Outcome{Name: "without " + string(need)}
		if o.Skipped = c.notEnded(); o.Skipped != "" || !c.wanted(o.Name) {
			c.tell(o)
			continue
		}
		var rest []abi.Capability
		for _, other := range c.module.Manifest.Needs {
			if other != need {
				rest = append(rest, other)
			}
		}
		r := c.run(c.kit.Two, tricky()[0].adapter, rest, abi.Limits{})
		switch refused := has(shape.Capabilities(), need); {
		case refused && (r.Status != sandbox.Denied || r.Usage.HostCalls > 0):
			o.wrong(fmt.Sprintf("without %q it ended with %s after %d host calls, and should have been refused before it ran: %s", need, r.Status,
				r.Usage.HostCalls, r.Error), "send this module to the authors of Tenon: it is a fault of the sandbox")
		case !refused && !endedItself(r.Status):
			p := badEnd(r)
			if bugFix(r) == "" {
				p.Fix = "a target's Base is -1 where the operator grants no base: look before you use it"
			}
			c.wrong(&o, o.Name, o.Name, p)
			c.stopAfter(r, o.Name)
		}
		c.tell(o)
	}
}

// quota is something of which a run gets so much. Without a call to name, the module may knowingly give less: what there is no room to compute
// can be left out, and only what was computed and could not be handed over must not be lost.
type quota struct {
	name, call string
	used       func(r sandbox.Result) int64
	limits     func(n int64) abi.Limits
}

// test is the name of the test with too little of it.
func (q quota) test() string { return "few " + q.name }

var quotas = []quota{
	{"metrics", "metric", func(r sandbox.Result) int64 { return int64(len(r.Metrics)) },
		func(n int64) abi.Limits { return abi.Limits{Metrics: int(n)} }},
	{"findings", "finding", func(r sandbox.Result) int64 { return int64(len(r.Findings)) },
		func(n int64) abi.Limits { return abi.Limits{Findings: int(n)} }},
	{"grid values", "grid", func(r sandbox.Result) (n int64) {
		for _, g := range r.Grids {
			n += int64(len(g.Values))
		}
		return n
	}, func(n int64) abi.Limits { return abi.Limits{GridValues: int(n)} }},
	{"bytes of log", "log", func(r sandbox.Result) int64 { return int64(len(r.Log)) }, func(n int64) abi.Limits { return abi.Limits{LogBytes: int(n)} }},
	{"host calls", "any function", func(r sandbox.Result) int64 { return r.Usage.HostCalls },
		func(n int64) abi.Limits { return abi.Limits{HostCalls: n} }},
	{"bytes of host tensors", "", func(sandbox.Result) int64 { return 8 << 10 },
		func(n int64) abi.Limits { return abi.Limits{HostTensors: n} }},
}

// quotas runs the module with too little of everything that is counted, on the adapter with which it used most of it. It may give up; it may
// not trap, and not end as if nothing was missing while something is.
func (c *conformance) quotas() {
	for _, q := range quotas {
		o := Outcome{Name: q.test()}
		if o.Skipped = c.notEnded(); o.Skipped != "" || !c.wanted(o.Name) {
			c.tell(o)
			continue
		}
		var most ended
		for _, e := range c.ended {
			if e.name != "300 targets" && (most.adapter == nil || q.used(e.result) > q.used(most.result)) {
				most = e
			}
		}
		var levels []int64
		if most.adapter != nil {
			used := q.used(most.result)
			levels = []int64{used - 1, used / 2, 1}
			slices.Sort(levels)
			levels = slices.DeleteFunc(slices.Compact(levels), func(n int64) bool { return n < 1 || n >= used })
		}
		if len(levels) == 0 {
			o.Skipped = "it uses none, or one"
			if !slices.ContainsFunc(c.ended, func(e ended) bool { return e.name == "ordinary" }) {
				o.Skipped = "it does not pass on ordinary"
			}
		}
		for _, n := range levels {
			if !c.within(&o, q, most, n) {
				break
			}
		}
		c.tell(o)
	}
}

// within runs the module on an adapter with n of something, and reports whether that went well.
func (c *conformance) within(o *Outcome, q quota, on ended, n int64) bool {
	r := c.run(c.kit.Two, on.adapter, c.module.Manifest.Needs, q.limits(n))
	if c.err != nil {
		return false
	}
	input := fmt.Sprintf("on %s, with a limit of %d %s,", on.name, n, q.name)
	switch full := on.result; {
	case !endedItself(r.Status):
		c.wrong(o, "with "+o.Name, input, badEnd(r))
		c.stopAfter(r, "with "+o.Name)
	case r.Status == sandbox.OK && q.call != "" && !sameResults(full, r):
		o.wrong(fmt.Sprintf("%s it ended as if nothing was missing, with %d of %d metrics, %d of %d grids and %d of %d findings", input,
			len(r.Metrics), len(full.Metrics), len(r.Grids), len(full.Grids), len(r.Findings), len(full.Findings)),
			fmt.Sprintf("return a code above 0 from diagnose when %s gives a status below 0; the SDKs keep the first such failure for you", q.call))
	}
	return o.Passed()
}

// sameResults compares everything but logs and costs.
func sameResults(a, b sandbox.Result) bool {
	a.Log, b.Log = "", ""
	a.Usage, b.Usage = sandbox.Usage{}, sandbox.Usage{}
	return differ(a, b, names{}) == ""
}

// differ says where two results are not the same, bit for bit; "" where they are. What they cost is not looked at, but for the host calls.
func differ(a, b sandbox.Result, n names) string {
	if a.Status != b.Status || a.Code != b.Code {
		return fmt.Sprintf("status %s %d and %s %d", a.Status, a.Code, b.Status, b.Code)
	}
	if len(a.Metrics) != len(b.Metrics) || len(a.Grids) != len(b.Grids) || len(a.Findings) != len(b.Findings) {
		return fmt.Sprintf("%d and %d metrics, %d and %d grids, %d and %d findings", len(a.Metrics), len(b.Metrics), len(a.Grids), len(b.Grids),
			len(a.Findings), len(b.Findings))
	}
	for i, m := range a.Metrics {
		o := b.Metrics[i]
		if m.Target != o.Target || m.Peer != o.Peer || m.Name != o.Name || !sameBits(m.Value, o.Value) {
			return fmt.Sprintf("metric %s is %s, and %s is %s", subject(m.Name, named(n.targets, m.Target), named(n.peers, m.Peer)), number(m.Value),
				subject(o.Name, named(n.targets, o.Target), named(n.peers, o.Peer)), number(o.Value))
		}
	}
	for i, g := range a.Grids {
		o := b.Grids[i]
		if g.Target != o.Target || g.Peer != o.Peer || g.Name != o.Name || g.Rows != o.Rows || g.Cols != o.Cols ||
			!slices.EqualFunc(g.Values, o.Values, sameBits) {
			return "grid " + subject(g.Name, named(n.targets, g.Target), named(n.peers, g.Peer))
		}
	}
	for i, f := range a.Findings {
		o := b.Findings[i]
		value, limit := sameBits(f.Value, o.Value), sameBits(f.Limit, o.Limit)
		f.Value, f.Limit, o.Value, o.Limit = 0, 0, 0, 0
		if f != o || !value || !limit {
			return "finding " + subject(f.Code, named(n.targets, f.Target), "")
		}
	}
	if a.Log != b.Log {
		return "their logs"
	}
	if a.Usage.HostCalls != b.Usage.HostCalls {
		return fmt.Sprintf("%d and %d host calls", a.Usage.HostCalls, b.Usage.HostCalls)
	}
	return ""
}

// sameBits takes all NaN for one: which of them an operation gives is not fixed by WebAssembly.
func sameBits(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
}
