package moduletest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// Kit runs the conformance tests. Its runners differ in nothing but the threads that a worker computes with.
type Kit struct {
	One, Two Runner // with one and with two threads
	// Interpreter runs a module again in this process, without compiling it; nil leaves that out.
	Interpreter func(ctx context.Context, o sandbox.Options) sandbox.Result
	Told        func(Outcome) // hears of each outcome when it is there; may be nil
	// Only, which may be nil, picks the tests by their names. That the module fits the ABI is always looked at.
	Only func(name string) bool
}

// What the interpreter, which is a hundred times slower, is given: small modules that were quick.
const (
	interpretedBytes = 256 << 10
	interpretedWall  = 20e6 // nanoseconds of the compiled run
)

// Conform holds a module to what every module must do. The error is about the machine, or ctx; what is wrong with the module is in the
// outcomes. A module that does not fit the ABI is not run.
func (k Kit) Conform(ctx context.Context, m modules.Module) ([]Outcome, error) {
	c := &conformance{kit: k, ctx: ctx, module: m, seen: map[string]string{}}
	fits := fit(m)
	c.all = append(c.all, fits)
	if k.Told != nil {
		k.Told(fits)
	}
	if !fits.Passed() {
		return c.all, nil
	}
	measured := slices.ContainsFunc(quotas, func(q quota) bool { return c.wanted(q.test()) })
	for _, t := range tricky() {
		if measured || c.wanted(t.name) {
			c.tell(c.adapter(t))
		}
	}
	c.withheld()
	c.quotas()
	return c.all, c.err
}

// fit checks what can be told without running: the ABI, and that the manifest says what the module imports.
func fit(m modules.Module) Outcome {
	o := Outcome{Name: "fits the ABI"}
	if err := sandbox.Precheck(m.Wasm, m.Manifest, m.Manifest.Needs, m.Manifest.Limits); err != nil {
		var refusal *sandbox.Refusal
		switch {
		case !errors.As(err, &refusal):
			o.wrong(err.Error(), "")
		case len(refusal.Details) == 0:
			o.wrong(refusal.Reason, fitFix(refusal.Reason))
		default:
			for _, detail := range refusal.Details {
				o.wrong(detail, fitFix(detail))
			}
		}
		return o
	}
	shape, err := ReadShape(m.Wasm)
	if err != nil {
		o.wrong(err.Error(), "build it again")
		return o
	}
	imported := shape.Capabilities()
	for _, need := range m.Manifest.Needs {
		// The base can be used through other functions, by a target's handle.
		if need != abi.CapBase && !has(imported, need) {
			o.wrong(fmt.Sprintf("the manifest needs %q, and the module imports no function of it", need),
				fmt.Sprintf("take %q out of needs: operators grant no more than is used", need))
		}
	}
	return o
}

// fitFix says what to do about what the pre-check found.
func fitFix(detail string) string {
	switch {
	case strings.HasPrefix(detail, "missing export \""+abi.ExportMarker), strings.HasPrefix(detail, "missing export \""+abi.ExportDiagnose):
		return "every SDK exports it: register the diagnostic as the tutorial shows, and link with the flags of the Makefile"
	case strings.HasPrefix(detail, "missing export"):
		return "link with the flags of the Makefile that tenon module new writes"
	case strings.Contains(detail, "needs the capability"):
		return "add it to needs in the manifest, or do not call the function"
	case strings.HasPrefix(detail, "unknown import \"env\""):
		return "the linker left an undefined function as an import: define it, or link the object that does"
	case strings.HasPrefix(detail, "unknown import"):
		return "take the call out: a guest has no files, network or clock, only what ABI.md lists"
	case strings.HasPrefix(detail, "import "):
		return "use the binding of the SDK, or correct the declaration"
	}
	return ""
}

// conformance is one run of the kit.
type conformance struct {
	kit    Kit
	ctx    context.Context
	module modules.Module
	err    error // the first; nothing runs after it
	all    []Outcome
	ended  []ended           // the runs that came to their end, with everything granted
	seen   map[string]string // where each error was met first
	hung   string            // where it did not end; nothing runs after it, since each such run takes all the time there is
}

// ended is a run that is held against runs with less.
type ended struct {
	trickyAdapter
	result sandbox.Result
}

func (c *conformance) wanted(name string) bool { return c.kit.Only == nil || c.kit.Only(name) }

func (c *conformance) tell(o Outcome) {
	if c.err != nil || !c.wanted(o.Name) {
		return
	}
	c.all = append(c.all, o)
	if c.kit.Told != nil {
		c.kit.Told(o)
	}
}

// notEnded is why nothing is run anymore; "" while the module ends.
func (c *conformance) notEnded() string {
	if c.hung == "" {
		return ""
	}
	return "it did not end " + c.hung
}

// wrong notes a problem that where, such as "on ordinary", was met; one that was met before is not told again in full.
func (c *conformance) wrong(o *Outcome, where, input string, p Problem) {
	key := subjectPattern.ReplaceAllString(p.What, "") + "\x00" + p.Fix
	if first, met := c.seen[key]; met && first != where {
		o.wrong(input+" the same as "+first, "")
		return
	}
	if c.wanted(o.Name) {
		c.seen[key] = where
	}
	p.What = input + " " + p.What
	o.Problems = append(o.Problems, p)
}

// subjectPattern is where the sandbox names a target in the text of a bug; the same bug is the same on another target.
var subjectPattern = regexp.MustCompile(` for target "(\\.|[^"\\])*"( and peer "(\\.|[^"\\])*")?`)

// badEnd is the problem of a run that did not come to its own end.
func badEnd(r sandbox.Result) Problem {
	return Problem{What: fmt.Sprintf("it ended with %s: %s", r.Status, r.Error), Fix: Remedy(r), Log: said(r)}
}

// run runs the module on an adapter in numbers; after an error it gives nothing.
func (c *conformance) run(r Runner, a *Adapter, grant []abi.Capability, limits abi.Limits) sandbox.Result {
	if c.err != nil {
		return sandbox.Result{}
	}
	result, _, err := runAdapter(c.ctx, r, c.module, a, grant, nil, limits)
	c.err = err
	return result
}

// adapter runs the module on one of the tricky adapters, twice, and once more in the interpreter.
func (c *conformance) adapter(t trickyAdapter) Outcome {
	o := Outcome{Name: t.name}
	needs, where := c.module.Manifest.Needs, "on "+t.name
	if o.Skipped = c.notEnded(); o.Skipped != "" {
		return o
	}
	if len(t.adapter.Peers) > 0 && !has(needs, abi.CapPeers) {
		o.Skipped = "it does not look at peers"
		return o
	}
	first := c.run(c.kit.Two, t.adapter, needs, abi.Limits{})
	if c.err != nil {
		return o
	}
	if first.Status == sandbox.OK {
		c.ended = append(c.ended, ended{t, first})
	}
	input := fmt.Sprintf("%s (%s)", where, t.what)
	if !endedItself(first.Status) {
		c.wrong(&o, where, input, badEnd(first))
		c.stopAfter(first, where)
		return o
	}
	if t.name == "ordinary" && first.Status != sandbox.OK {
		c.wrong(&o, where, input, Problem{What: "it gave up: " + first.Error, Fix: "an adapter like this is what it is for: return 0",
			Log: said(first)})
		return o
	}
	second := c.run(c.kit.One, t.adapter, needs, abi.Limits{})
	c.stopAfter(second, where)
	if difference := differ(first, second, namesOf(inputNames(t.adapter))); c.err == nil && difference != "" {
		c.wrong(&o, where, input, Problem{What: "two runs gave different results: " + difference,
			Fix: "results must be a function of the input: fix the order of sums and of maps, and use no address and no uninitialized memory"})
		return o
	}
	if third, ran := c.interpret(t.adapter, first); ran && c.err == nil {
		if difference := differ(first, third, namesOf(inputNames(t.adapter))); difference != "" {
			o.wrong(fmt.Sprintf("%s the interpreter gave another result than the compiler: %s", input, difference),
				"send this module to the authors of Tenon: it is a fault of the engine")
		}
	}
	return o
}

// stopAfter ends the conformance tests of a module that did not end.
func (c *conformance) stopAfter(r sandbox.Result, where string) {
	if c.hung == "" && r.Status == sandbox.Timeout {
		c.hung = where
	}
}

// interpret runs the module in the interpreter, where that does not take long.
func (c *conformance) interpret(a *Adapter, compiled sandbox.Result) (sandbox.Result, bool) {
	if c.err != nil || c.kit.Interpreter == nil || len(c.module.Wasm) > interpretedBytes || compiled.Usage.Wall > interpretedWall {
		return sandbox.Result{}, false
	}
	s, err := newStore()
	if err != nil {
		c.err = err
		return sandbox.Result{}, false
	}
	defer s.Close()
	in, err := s.input(c.ctx, a, c.module.Manifest, c.module.Manifest.Needs, nil)
	if err != nil {
		c.err = err
		return sandbox.Result{}, false
	}
	result := c.kit.Interpreter(c.ctx, sandbox.Options{Wasm: c.module.Wasm, Manifest: c.module.Manifest, Granted: c.module.Manifest.Needs,
		Limits: c.module.Manifest.Limits, Input: in, InProcess: true, Interpreter: true})
	return result, result.Status != sandbox.Timeout
}

// inputNames are the names that an input of the adapter has.
func inputNames(a *Adapter) sandbox.Input {
	var in sandbox.Input
	for _, t := range a.Targets {
		in.Targets = append(in.Targets, sandbox.Target{Name: t.Name})
	}
	for _, p := range a.Peers {
		in.Peers = append(in.Peers, sandbox.Peer{Name: p.Name})
	}
	return in
}
