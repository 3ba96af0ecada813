package abi

// ValueType is a WebAssembly value type.
type ValueType byte

// The value types the ABI uses.
const (
	I32 ValueType = 0x7f
	I64 ValueType = 0x7e
	F64 ValueType = 0x7c
)

// Capability is what an operator grants a module; a function without its capability answers Denied.
type Capability string

// The capabilities.
const (
	CapNone    Capability = ""        // always granted
	CapBase    Capability = "base"    // read the base's weights
	CapPeers   Capability = "peers"   // read the adapters compared with
	CapKernels Capability = "kernels" // the host's linear algebra
)

// Function is one import. Every function returns one i32: 0 or more on success, a Status below zero otherwise.
type Function struct {
	Name       string
	Params     []ValueType
	Capability Capability
	Doc        string // parameters in order, then the result
}

// Functions is the import list of version 1. It only grows; a golden file guards every line.
var Functions = []Function{
	// Model.
	{"target_count", nil, CapNone, "() -> number of adapted weights"},
	{"target_info", []ValueType{I32, I32}, CapNone, "(target, out *TargetInfo) -> 0"},
	{"target_name", []ValueType{I32, I32, I32}, CapNone,
		"(target, dst, cap) -> length of the base tensor's name; nothing is written when it exceeds cap"},
	{"peer_count", nil, CapPeers, "() -> number of adapters to compare with"},
	{"peer_name", []ValueType{I32, I32, I32}, CapPeers, "(peer, dst, cap) -> length of the peer's digest, as target_name"},
	{"peer_target", []ValueType{I32, I32, I32}, CapPeers,
		"(peer, target, out *TargetInfo) -> 0, or NotFound where the peer does not adapt this target; Base is -1"},
	{"attr", []ValueType{I32, I32, I32, I32}, CapNone,
		"(key, key length, dst, cap) -> length of the text, as target_name; keys: module.id adapter.digest adapter.format base.digest " +
			"base.architecture init_lora_weights, and probe.NAME with a number in decimal for each metric of a behavioural probe"},
	{"param", []ValueType{I32, I32, I32}, CapNone,
		"(name, name length, out *f64) -> 0; the operator's setting or the default of the module's manifest"},
	{"bank_count", nil, CapNone,
		"() -> number of adapters in the operator's bank for this base, or NotFound where no bank was given"},
	{"bank_name", []ValueType{I32, I32, I32}, CapNone, "(entry, dst, cap) -> length of the entry's digest, as target_name"},
	{"bank_features", []ValueType{I32}, CapNone,
		"(target) -> handle of entries x n: row i is what this module reported of the i-th adapter as its grid features for this target, " +
			"or for the adapter as a whole; NaN where that adapter has none; NotFound where nobody has"},
	// Tensors.
	{"tensor_shape", []ValueType{I32, I32}, CapNone, "(handle, out *[2]i64) -> 0; rows, columns"},
	{"tensor_read_f32", []ValueType{I32, I64, I32, I32}, CapNone, "(handle, first, dst, n) -> n; elements first to first+n-1, row-major"},
	{"tensor_read_f64", []ValueType{I32, I64, I32, I32}, CapNone, "(handle, first, dst, n) -> n; as tensor_read_f32"},
	{"tensor_put_f64", []ValueType{I32, I32, I32}, CapNone, "(src, rows, cols) -> handle"},
	{"tensor_drop", []ValueType{I32}, CapNone,
		"(handle) -> 0; frees its bytes; handles of factors and base can be dropped too and are gone for this run"},
	// Kernels. All compute in f64, in a fixed order.
	{"matmul", []ValueType{I32, I32, I32}, CapKernels, "(a, b, flags) -> handle of op(a) op(b)"},
	{"axpby", []ValueType{F64, I32, F64, I32}, CapKernels, "(alpha, x, beta, y) -> handle of alpha x + beta y"},
	{"stats", []ValueType{I32, I32}, CapKernels, "(handle, out *Stats) -> 0"},
	{"qr", []ValueType{I32, I32}, CapKernels, "(handle, out *[2]i32) -> 0; thin Q and R, Householder"},
	{"svd", []ValueType{I32, I32}, CapKernels,
		"(handle, out *[3]i32) -> 0; thin U, S as 1 x k descending, V, each column's largest entry of U positive"},
	{"delta_svd", []ValueType{I32, I32, F64, I32}, CapKernels,
		"(b, a, scale, out *[3]i32) -> numerical rank k of scale B A; U is out x k, S is 1 x k, V is in x k; no handles are written " +
			"when k = 0"},
	{"delta_values", []ValueType{I32, I32, F64, I32}, CapKernels,
		"(b, a, scale, out *i32) -> numerical rank k of scale B A, as delta_svd; S is 1 x k; no handle is written when k = 0"},
	{"project", []ValueType{I32, I32, I32}, CapKernels, "(w, u, v) -> handle of U' W V, one pass over W"},
	{"project_stats", []ValueType{I32, I32, I32, I32}, CapKernels, "(w, u, v, out *Stats) -> handle of U' W V; one pass over W for both"},
	{"base_svd", []ValueType{I32, I32, I32}, CapBase,
		"(target, k, out *[3]i32) -> 0; top-k singular triples of the target's W, cached by the base's digest"},
	{"round_loss", []ValueType{I32, I32, I32}, CapBase,
		"(target, dtype, out *RoundLoss) -> 0; one pass over W; dtype F16, BF16 or F32, 0 is the checkpoint's own"},
	{"rounding", []ValueType{I32, I64, I64, I32, I32, I32}, CapBase,
		"(target, first, rows, formats *i32, n, out *[n]Rounding) -> 0; rows of W as they lie in the checkpoint, from first on, in one pass"},
	{"merged_svd", []ValueType{I32, I32, I32}, CapBase,
		"(target, k, out *[3]i32) -> 0; top-k singular triples of W + scale B A, not rounded; many passes over W"},
	{"last_error", []ValueType{I32, I32}, CapNone, "(dst, cap) -> length of the text of the last status below zero, as target_name"},
	// Output.
	{"metric", []ValueType{I32, I32, I32, I32, F64}, CapNone, "(target, peer, name, name length, value) -> 0"},
	{"grid", []ValueType{I32, I32, I32, I32, I32, I32, I32}, CapNone, "(target, peer, name, name length, rows, cols, src *f64) -> 0"},
	{"finding", []ValueType{I32, I32, I32, I32, I32, I32, I32, I32, F64, F64}, CapNone,
		"(target, severity, code, code length, message, message length, hint, hint length, value, limit) -> 0"},
	{"log", []ValueType{I32, I32}, CapNone, "(text, length) -> 0"},
}

// WASI lists the functions of wasi_snapshot_preview1 a guest may import. Clock and random source are deterministic, there are no
// arguments, no environment and no files; what is written to descriptors 1 and 2 goes to the log.
var WASI = []string{
	"args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "clock_time_get", "random_get", "fd_write", "fd_close", "fd_seek",
	"fd_fdstat_get", "fd_fdstat_set_flags", "fd_prestat_get", "fd_prestat_dir_name", "sched_yield", "poll_oneoff", "proc_exit",
}

// WASIModule is the import module of WASI.
const WASIModule = "wasi_snapshot_preview1"
