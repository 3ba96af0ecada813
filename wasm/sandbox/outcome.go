package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// outcome is how a run ended, before what it gave is added.
type outcome struct {
	status Status
	code   int32
	text   string
}

// guestBug is a panic of a host function that ends the run: the guest passed something no correct guest passes.
type guestBug struct {
	text string
}

func (b *guestBug) Error() string { return b.text }

var _ error = (*guestBug)(nil)

// outOfMemory is a panic of the allocator: there is no room for the linear memory the module may grow to.
type outOfMemory struct {
	bytes uint64
	cause error
}

func (o *outOfMemory) Error() string {
	return fmt.Sprintf("no room for %d bytes of guest memory: %v", o.bytes, o.cause)
}

var _ error = (*outOfMemory)(nil)

// maxErrorBytes bounds Result.Error, which may hold foreign text.
const maxErrorBytes = 4 << 10

// What the engine adds to the text of an error: the guest's stack, which is function numbers where the names are stripped, and after it the
// host's. Neither tells a reader of the report anything; a guest's own words are in its log.
const (
	engineStack     = "\nwasm stack trace:"
	engineRecovered = " (recovered by wazero)"
)

// withoutStack is what went wrong, and in which functions where the module says how they are called: the innermost first. Numbers of functions
// tell an author nothing.
func withoutStack(err error) string {
	text, stack, _ := strings.Cut(err.Error(), engineStack)
	stack, _, _ = strings.Cut(stack, "Go runtime stack trace:") // of a fault in a host function
	text = strings.TrimSuffix(strings.TrimSpace(text), engineRecovered)
	var names []string
	for line := range strings.Lines(stack) {
		name := strings.TrimPrefix(strings.TrimSpace(line), ".")
		name = name[:max(0, strings.LastIndexByte(name, '('))] // a name can have one of its own
		if name != "" && !strings.HasPrefix(name, "$") && !strings.HasPrefix(name, "...") && len(names) < maxStackNames {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		text += " (in " + strings.Join(names, ", called by ") + ")"
	}
	return text
}

// maxStackNames is how many functions an error names.
const maxStackNames = 4

// ended is the outcome of a run whose context has ended.
func ended(ctx context.Context, stage string) outcome {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return outcome{status: Timeout, text: "the deadline passed in " + stage}
	}
	return outcome{status: WorkerDied, text: "canceled in " + stage}
}

// outcome makes an error of the engine a status.
func (r *run) outcome(ctx context.Context, stage string, err error) outcome {
	var exit *sys.ExitError
	var bug *guestBug
	switch {
	case ctx.Err() != nil: // asked of the context: the exit codes that the engine takes for its end are a guest's to give
		return ended(ctx, stage)
	case errors.As(err, &exit):
		return outcome{status: Trap, text: fmt.Sprintf("%s: the guest exited with code %d instead of returning", stage, exit.ExitCode())}
	case errors.As(err, &bug):
		return outcome{status: Trap, text: stage + ": " + bug.text}
	case stage == "compile":
		return outcome{status: Invalid, text: "the module does not compile: " + withoutStack(err)}
	case stage == "instantiate":
		return outcome{status: Invalid, text: "the module does not instantiate: " + withoutStack(err)}
	}
	return outcome{status: Trap, text: stage + ": " + withoutStack(err)}
}

// refused makes an error of the pre-check a result.
func refused(err error) Result {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return Result{Status: refusal.Status, Error: Plain(refusal.Error(), maxErrorBytes)}
	}
	return Result{Status: Invalid, Error: Plain(err.Error(), maxErrorBytes)}
}

// result adds what the guest gave to how the run ended.
func (r *run) result(end outcome) Result {
	r.usage.PeakBytes = r.memory + r.peak
	return Result{
		Status: end.status, Code: end.code, Error: Plain(end.text, maxErrorBytes),
		Metrics: r.metrics, Grids: r.grids, Findings: r.findings, Log: r.log.String(), Usage: r.usage,
	}
}
