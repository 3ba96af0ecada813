package sandbox

import (
	"context"
	"math"
	"unsafe"

	"github.com/tetratelabs/wazero/api"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// Native answers a diagnostic that runs in this process with the handlers that answer a guest. The memory that they read and write is the
// diagnostic's own: nothing is copied on the way, which a guest's calls do not either.
type Native struct {
	run     *run
	guest   nativeGuest
	calls   map[string]api.GoModuleFunc
	results [1]uint64
}

// NewNative begins a run of no module.
func NewNative(o Options) *Native {
	n := &Native{run: newRun(o), calls: map[string]api.GoModuleFunc{}}
	n.guest.memory = &segments{}
	for _, f := range abi.Functions {
		n.calls[f.Name] = n.run.bind(f, handlers[f.Name])
	}
	return n
}

// Result is what the diagnostic gave, as an OK run.
func (n *Native) Result() Result { return n.run.result(outcome{status: OK}) }

// nativeGuest is a module with a memory and nothing else.
type nativeGuest struct {
	api.Module
	memory *segments
}

func (g nativeGuest) Memory() api.Memory { return g.memory }

// segments is a memory whose parts lie where the caller has them, segmentSize apart.
type segments struct {
	api.Memory
	parts [][]byte
}

const segmentSize = 1 << 28

func (s *segments) Size() uint32 { return math.MaxUint32 }

func (s *segments) Read(offset, size uint32) ([]byte, bool) {
	if size == 0 {
		return nil, true
	}
	first := offset % segmentSize
	return s.parts[offset/segmentSize-1][first : first+size : first+size], true
}

// at places memory for one call and gives its pointer.
func at[T any](n *Native, memory []T) uint64 {
	m := n.guest.memory
	var one T
	m.parts = append(m.parts, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)*int(unsafe.Sizeof(one))))
	return uint64(len(m.parts)) * segmentSize
}

func (n *Native) text(text string) (pointer, size uint64) {
	return at(n, unsafe.Slice(unsafe.StringData(text), len(text))), uint64(len(text))
}

func (n *Native) do(name string, args ...uint64) int32 {
	if len(args) == 0 {
		args = n.results[:]
	}
	n.calls[name](context.Background(), n.guest, args)
	n.guest.memory.parts = n.guest.memory.parts[:0]
	return int32(uint32(args[0]))
}

func i(v int32) uint64   { return uint64(uint32(v)) }
func d(v float64) uint64 { return math.Float64bits(v) }

func (n *Native) TargetCount() int32 { return n.do("target_count") }
func (n *Native) TargetInfo(target int32, out *[abi.TargetInfoSize]byte) int32 {
	return n.do("target_info", i(target), at(n, out[:]))
}
func (n *Native) TargetName(target int32, dst []byte) int32 {
	return n.do("target_name", i(target), at(n, dst), uint64(len(dst)))
}
func (n *Native) PeerCount() int32 { return n.do("peer_count") }
func (n *Native) PeerName(peer int32, dst []byte) int32 {
	return n.do("peer_name", i(peer), at(n, dst), uint64(len(dst)))
}
func (n *Native) PeerTarget(peer, target int32, out *[abi.TargetInfoSize]byte) int32 {
	return n.do("peer_target", i(peer), i(target), at(n, out[:]))
}
func (n *Native) Attr(key string, dst []byte) int32 {
	p, size := n.text(key)
	return n.do("attr", p, size, at(n, dst), uint64(len(dst)))
}
func (n *Native) Param(name string, out *float64) int32 {
	p, size := n.text(name)
	return n.do("param", p, size, at(n, unsafe.Slice(out, 1)))
}
func (n *Native) BankCount() int32 { return n.do("bank_count") }
func (n *Native) BankName(entry int32, dst []byte) int32 {
	return n.do("bank_name", i(entry), at(n, dst), uint64(len(dst)))
}
func (n *Native) BankFeatures(target int32) int32 { return n.do("bank_features", i(target)) }
func (n *Native) TensorShape(handle int32, out *[2]int64) int32 {
	return n.do("tensor_shape", i(handle), at(n, out[:]))
}
func (n *Native) TensorReadF32(handle int32, first int64, dst []float32) int32 {
	return n.do("tensor_read_f32", i(handle), uint64(first), at(n, dst), uint64(len(dst)))
}
func (n *Native) TensorReadF64(handle int32, first int64, dst []float64) int32 {
	return n.do("tensor_read_f64", i(handle), uint64(first), at(n, dst), uint64(len(dst)))
}
func (n *Native) TensorPutF64(src []float64, rows, cols int32) int32 {
	return n.do("tensor_put_f64", at(n, src), i(rows), i(cols))
}
func (n *Native) TensorDrop(handle int32) int32  { return n.do("tensor_drop", i(handle)) }
func (n *Native) MatMul(a, b, flags int32) int32 { return n.do("matmul", i(a), i(b), i(flags)) }
func (n *Native) Axpby(alpha float64, x int32, beta float64, y int32) int32 {
	return n.do("axpby", d(alpha), i(x), d(beta), i(y))
}
func (n *Native) Stats(handle int32, out *[abi.StatsSize]byte) int32 {
	return n.do("stats", i(handle), at(n, out[:]))
}
func (n *Native) QR(handle int32, out *[2]int32) int32  { return n.do("qr", i(handle), at(n, out[:])) }
func (n *Native) SVD(handle int32, out *[3]int32) int32 { return n.do("svd", i(handle), at(n, out[:])) }
func (n *Native) DeltaSVD(b, a int32, scale float64, out *[3]int32) int32 {
	return n.do("delta_svd", i(b), i(a), d(scale), at(n, out[:]))
}
func (n *Native) DeltaValues(b, a int32, scale float64, out *int32) int32 {
	return n.do("delta_values", i(b), i(a), d(scale), at(n, unsafe.Slice(out, 1)))
}
func (n *Native) Project(w, u, v int32) int32 { return n.do("project", i(w), i(u), i(v)) }
func (n *Native) ProjectStats(w, u, v int32, out *[abi.StatsSize]byte) int32 {
	return n.do("project_stats", i(w), i(u), i(v), at(n, out[:]))
}
func (n *Native) BaseSVD(target, k int32, out *[3]int32) int32 {
	return n.do("base_svd", i(target), i(k), at(n, out[:]))
}
func (n *Native) RoundLoss(target, dtype int32, out *[abi.RoundLossSize]byte) int32 {
	return n.do("round_loss", i(target), i(dtype), at(n, out[:]))
}
func (n *Native) Rounding(target int32, first, rows int64, formats []abi.Format, out []byte) int32 {
	return n.do("rounding", i(target), uint64(first), uint64(rows), at(n, formats), uint64(len(formats)), at(n, out))
}
func (n *Native) MergedSVD(target, k int32, out *[3]int32) int32 {
	return n.do("merged_svd", i(target), i(k), at(n, out[:]))
}
func (n *Native) LastError(dst []byte) int32 { return n.do("last_error", at(n, dst), uint64(len(dst))) }
func (n *Native) Metric(target, peer int32, name string, value float64) int32 {
	p, size := n.text(name)
	return n.do("metric", i(target), i(peer), p, size, d(value))
}
func (n *Native) Grid(target, peer int32, name string, rows, cols int32, values []float64) int32 {
	p, size := n.text(name)
	return n.do("grid", i(target), i(peer), p, size, i(rows), i(cols), at(n, values))
}
func (n *Native) Finding(target, severity int32, code, message, hint string, value, limit float64) int32 {
	c, cn := n.text(code)
	m, mn := n.text(message)
	h, hn := n.text(hint)
	return n.do("finding", i(target), i(severity), c, cn, m, mn, h, hn, d(value), d(limit))
}
func (n *Native) Log(text string) int32 {
	p, size := n.text(text)
	return n.do("log", p, size)
}
