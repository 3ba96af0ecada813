package sandbox

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/api"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// run is the state of one run: what the guest may see, what it holds, and what it gave.
type run struct {
	limits   abi.Limits
	manifest abi.Manifest
	granted  func(abi.Capability) bool
	input    Input

	objects handles
	targets []*targetHandles   // per Input.Targets, made when the guest first asks
	peers   [][]*targetHandles // per Input.Peers, then as targets

	metrics    []Metric
	grids      []Grid
	findings   []Finding
	gridValues int
	given      map[givenKey]bool
	log        guestLog
	lastError  string

	usage   Usage
	memory  int64 // linear memory at the end
	peak    int64 // most bytes of tensors held at once
	trace   Trace // nil: nobody asked
	current call  // the host call being answered; one at a time, since a guest has one thread
	raw     []byte
	floats  []float32
	doubles []float64
}

func newRun(o Options) *run {
	limits := o.Limits.WithDefaults()
	r := &run{
		limits:   limits,
		manifest: o.Manifest,
		granted:  grants(o.Manifest, o.Granted),
		input:    o.Input,
		trace:    o.Trace,
		objects:  handles{live: map[int32]object{}},
		targets:  make([]*targetHandles, len(o.Input.Targets)),
		peers:    make([][]*targetHandles, len(o.Input.Peers)),
		given:    map[givenKey]bool{},
		log:      guestLog{limit: limits.LogBytes},
	}
	for i := range r.peers {
		r.peers[i] = make([]*targetHandles, len(o.Input.Targets))
	}
	return r
}

// failure is an error of a host function that the guest can see: a status, and a text for last_error.
type failure struct {
	status abi.Status
	text   string
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.status }

var _ error = (*failure)(nil)

func fail(status abi.Status, format string, args ...any) error {
	return &failure{status, status.Error() + ": " + fmt.Sprintf(format, args...)}
}

// handler answers one function of the ABI: a result of 0 or more, or a *failure.
type handler func(c *call) (int32, error)

// bind makes a handler a host function. It is the one place where arguments are narrowed: an i32 arrives in a uint64 whose upper half is
// whatever the register held.
func (r *run) bind(f abi.Function, answer handler) api.GoModuleFunc {
	return func(ctx context.Context, guest api.Module, stack []uint64) {
		for i, t := range f.Params {
			if t == abi.I32 {
				stack[i] = uint64(uint32(stack[i]))
			}
		}
		r.current = call{run: r, ctx: ctx, name: f.Name, memory: guest.Memory(), args: stack[:len(f.Params)]}
		start := r.trace.begin()
		result, err := r.answer(f, answer)
		r.trace.end(f.Name, start)
		if err != nil {
			if f.Name != "last_error" {
				r.lastError = f.Name + ": " + err.Error()
			}
			result = int32(abi.Internal)
			if failed, ok := err.(*failure); ok {
				result = int32(failed.status)
			}
		}
		stack[0] = uint64(uint32(result))
	}
}

func (r *run) answer(f abi.Function, answer handler) (int32, error) {
	if r.usage.HostCalls >= r.limits.HostCalls {
		r.log.note("more than %d host calls: the rest was refused", r.limits.HostCalls)
		return 0, fail(abi.Quota, "%d host calls", r.limits.HostCalls)
	}
	r.usage.HostCalls++
	if !r.granted(f.Capability) {
		return 0, fail(abi.Denied, "%q", f.Capability)
	}
	return answer(&r.current)
}

// call is one host call. Its memory view is only good until it returns.
type call struct {
	*run
	ctx    context.Context // of the run
	name   string
	memory api.Memory
	args   []uint64
}

func (c *call) i32(i int) int32   { return int32(uint32(c.args[i])) }
func (c *call) i64(i int) int64   { return int64(c.args[i]) }
func (c *call) f64(i int) float64 { return math.Float64frombits(c.args[i]) }

// trap ends the run.
func (c *call) trap(format string, args ...any) {
	panic(&guestBug{c.name + ": " + fmt.Sprintf(format, args...)})
}

// view returns size bytes of guest memory at the pointer in argument i, or traps. The sum is taken in 64 bits.
func (c *call) view(i int, size uint64) []byte {
	pointer := uint64(uint32(c.args[i]))
	if have := uint64(c.memory.Size()); pointer+size > have || size > have {
		c.trap("%d bytes at %#x are outside the guest's memory of %d bytes", size, pointer, have)
	}
	view, _ := c.memory.Read(uint32(pointer), uint32(size))
	return view
}

// text copies the UTF-8 text at the pointer and length in arguments i and i+1, or traps.
func (c *call) text(i int) string {
	view := c.view(i, uint64(uint32(c.args[i+1])))
	if !utf8.Valid(view) {
		c.trap("a text of %d bytes is not UTF-8", len(view))
	}
	return string(view)
}

// give writes text to the pointer and capacity in arguments i and i+1, if it fits, and returns the length of text.
func (c *call) give(i int, text string) (int32, error) {
	view := c.view(i, uint64(uint32(c.args[i+1])))
	if len(text) <= len(view) {
		copy(view, text)
	}
	return int32(len(text)), nil
}

// giveHandles writes handles as i32 to the pointer in argument i.
func (c *call) giveHandles(i int, ids ...int32) {
	view := c.view(i, uint64(4*len(ids)))
	for j, id := range ids {
		binary.LittleEndian.PutUint32(view[4*j:], uint32(id))
	}
}
