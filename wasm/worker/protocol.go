package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// Parent and worker speak in frames: one byte of kind, four bytes of length (little-endian), and that many bytes.
//
//	parent                     worker
//	prepare, wasm  ────────▶            (or not; then no wasm follows the request)
//	request        ────────▶
//	descriptors    ◀───────▶            (64 at a time with one byte, answered by one)
//	wasm           ────────▶
//	               ◀────────  confined  (before the module is looked at)
//	               ◀────────  compiled  (confined again: no file can be written any more)
//	run            ────────▶            (the parent has put the compiled code in its cache)
//	               ◀────────  result
//
// A result may come instead of any of the worker's frames, and after it the worker waits to be ended. The worker is not trusted after it
// has read the module.
const (
	framePrepare  = 'p'
	frameRequest  = 'q'
	frameModule   = 'm'
	frameConfined = 'f'
	frameCompiled = 'c'
	frameRun      = 'g'
	frameResult   = 'r'
)

const (
	maxRequest = 64 << 20 // names, shapes and offsets of every tensor a run may see, and the bank
	maxModule  = 16 << 20
	maxLayers  = 4 << 10
)

var errFrame = errors.New("not a frame of the worker's protocol")

func writeFrame(w io.Writer, kind byte, body []byte) error {
	head := make([]byte, 5, 5+len(body))
	head[0] = kind
	binary.LittleEndian.PutUint32(head[1:], uint32(len(body)))
	_, err := w.Write(append(head, body...))
	return err
}

// readFrame reads one frame. limits gives the most bytes of each kind; another kind is an error. It allocates as bytes arrive, not as
// they are claimed.
func readFrame(r io.Reader, limits map[byte]int64) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := int64(binary.LittleEndian.Uint32(head[1:]))
	limit, known := limits[head[0]]
	if !known {
		return 0, nil, fmt.Errorf("%w: kind %#x", errFrame, head[0])
	}
	if size > limit {
		return 0, nil, fmt.Errorf("%w: %d bytes of kind %q, at most %d are accepted", errFrame, size, head[0], limit)
	}
	body, err = io.ReadAll(io.LimitReader(r, size))
	if err == nil && int64(len(body)) < size {
		err = io.ErrUnexpectedEOF
	}
	return head[0], body, err
}

// bits carry a float64 through JSON, NaN and all.
type bits uint64

func bitsOf(f float64) bits   { return bits(math.Float64bits(f)) }
func (b bits) float() float64 { return math.Float64frombits(uint64(b)) }
func bytesOf(v []float64) []byte {
	out := make([]byte, 0, 8*len(v))
	for _, f := range v {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(f))
	}
	return out
}

func floatsOf(b []byte) []float64 {
	out := make([]float64, len(b)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return out
}

// request is a job without the module's bytes. Files are the descriptors that follow it, by index.
type request struct {
	Manifest abi.Manifest      `json:"manifest"`
	Granted  []abi.Capability  `json:"granted"`
	Limits   abi.Limits        `json:"limits"`
	Targets  []*target         `json:"targets"`
	Peers    []peer            `json:"peers"`
	Attrs    map[string]string `json:"attrs"`
	Params   map[string]bits   `json:"params"`
	Bank     *bank             `json:"bank,omitzero"`
	Files    int               `json:"files"`
	CacheDir string            `json:"cache_dir"` // empty: none
	Cold     bool              `json:"cold"`      // the cache directory is empty and may be written until the module is compiled
	Threads  int               `json:"threads"`
	Trace    bool              `json:"trace,omitzero"` // say what the host calls cost
}

// preparation is what a spare may do before it has a request.
type preparation struct {
	Limits   abi.Limits `json:"limits"`
	CacheDir string     `json:"cache_dir"`
}

type target struct {
	Name        string      `json:"name"`
	A           *tensor.Ref `json:"a"`
	B           *tensor.Ref `json:"b"`
	Base        *tensor.Ref `json:"base,omitzero"`
	U           *tensor.Ref `json:"u,omitzero"`
	S           *tensor.Ref `json:"s,omitzero"`
	V           *tensor.Ref `json:"v,omitzero"`
	Rank        int         `json:"rank"`
	In          int         `json:"in"`
	Out         int         `json:"out"`
	Scale       bits        `json:"scale"`
	Alpha       bits        `json:"alpha"`
	FanInFanOut bool        `json:"fan_in_fan_out,omitzero"`
	RsLoRA      bool        `json:"rslora,omitzero"`
}

type peer struct {
	Name    string    `json:"name"`
	Targets []*target `json:"targets"`
}

// bank is a sandbox.Bank, whose size sandbox.MaxBankValues bounds.
type bank struct {
	Names    []string `json:"names"`
	Features []table  `json:"features"`
}

type table struct {
	Rows   int    `json:"r"`
	Cols   int    `json:"c"`
	Values []byte `json:"v"` // f64, little-endian
}

// layers says which means of confinement the worker could not take.
type layers struct {
	Missing []string `json:"missing"`
}

// answer is a sandbox.Result on the wire.
type answer struct {
	Status   sandbox.Status `json:"status"`
	Code     int32          `json:"code,omitzero"`
	Error    string         `json:"error,omitzero"`
	Metrics  []metric       `json:"metrics,omitzero"`
	Grids    []grid         `json:"grids,omitzero"`
	Findings []finding      `json:"findings,omitzero"`
	Log      string         `json:"log,omitzero"`
	Usage    sandbox.Usage  `json:"usage"`
	Calls    sandbox.Trace  `json:"calls,omitzero"` // where the request asked for a trace
}

type metric struct {
	Target int    `json:"t"`
	Peer   int    `json:"p"`
	Name   string `json:"n"`
	Value  bits   `json:"v"`
}

type grid struct {
	Target int    `json:"t"`
	Peer   int    `json:"p"`
	Name   string `json:"n"`
	Rows   int    `json:"r"`
	Cols   int    `json:"c"`
	Values []byte `json:"v"` // f64, little-endian
}

type finding struct {
	Target   int          `json:"t"`
	Severity abi.Severity `json:"s"`
	Code     string       `json:"c"`
	Message  string       `json:"m"`
	Hint     string       `json:"h"`
	Value    bits         `json:"v"`
	Limit    bits         `json:"l"`
}

func encodeAnswer(r sandbox.Result, calls sandbox.Trace) ([]byte, error) {
	a := answer{Status: r.Status, Code: r.Code, Error: r.Error, Log: r.Log, Usage: r.Usage, Calls: calls}
	for _, m := range r.Metrics {
		a.Metrics = append(a.Metrics, metric{m.Target, m.Peer, m.Name, bitsOf(m.Value)})
	}
	for _, g := range r.Grids {
		a.Grids = append(a.Grids, grid{g.Target, g.Peer, g.Name, g.Rows, g.Cols, bytesOf(g.Values)})
	}
	for _, f := range r.Findings {
		a.Findings = append(a.Findings, finding{f.Target, f.Severity, f.Code, f.Message, f.Hint, bitsOf(f.Value), bitsOf(f.Limit)})
	}
	return json.Marshal(a)
}
