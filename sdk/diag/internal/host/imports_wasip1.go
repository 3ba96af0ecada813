package host

import (
	"unsafe"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// The imports. Go passes a string as pointer and length; every pointer is to memory of the guest that lives until the call returns.
// The linker keeps only those that the guest reaches, so a guest imports what it uses and nothing more.

//go:wasmimport tenon_v1 target_count
func targetCount() int32

//go:wasmimport tenon_v1 target_info
//go:noescape
func targetInfo(target int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 target_name
//go:noescape
func targetName(target int32, dst unsafe.Pointer, limit int32) int32

//go:wasmimport tenon_v1 peer_count
func peerCount() int32

//go:wasmimport tenon_v1 peer_name
//go:noescape
func peerName(peer int32, dst unsafe.Pointer, limit int32) int32

//go:wasmimport tenon_v1 peer_target
//go:noescape
func peerTarget(peer, target int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 attr
//go:noescape
func attr(key string, dst unsafe.Pointer, limit int32) int32

//go:wasmimport tenon_v1 param
//go:noescape
func param(name string, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 bank_count
func bankCount() int32

//go:wasmimport tenon_v1 bank_name
//go:noescape
func bankName(entry int32, dst unsafe.Pointer, limit int32) int32

//go:wasmimport tenon_v1 bank_features
func bankFeatures(target int32) int32

//go:wasmimport tenon_v1 tensor_shape
//go:noescape
func tensorShape(handle int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 tensor_read_f32
//go:noescape
func tensorReadF32(handle int32, first int64, dst unsafe.Pointer, n int32) int32

//go:wasmimport tenon_v1 tensor_read_f64
//go:noescape
func tensorReadF64(handle int32, first int64, dst unsafe.Pointer, n int32) int32

//go:wasmimport tenon_v1 tensor_put_f64
//go:noescape
func tensorPutF64(src unsafe.Pointer, rows, cols int32) int32

//go:wasmimport tenon_v1 tensor_drop
func tensorDrop(handle int32) int32

//go:wasmimport tenon_v1 matmul
func matmul(a, b, flags int32) int32

//go:wasmimport tenon_v1 axpby
func axpby(alpha float64, x int32, beta float64, y int32) int32

//go:wasmimport tenon_v1 stats
//go:noescape
func stats(handle int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 qr
//go:noescape
func qr(handle int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 svd
//go:noescape
func svd(handle int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 delta_svd
//go:noescape
func deltaSVD(b, a int32, scale float64, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 delta_values
//go:noescape
func deltaValues(b, a int32, scale float64, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 project
func project(w, u, v int32) int32

//go:wasmimport tenon_v1 project_stats
//go:noescape
func projectStats(w, u, v int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 base_svd
//go:noescape
func baseSVD(target, k int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 round_loss
//go:noescape
func roundLoss(target, dtype int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 rounding
//go:noescape
func rounding(target int32, first, rows int64, formats unsafe.Pointer, n int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 merged_svd
//go:noescape
func mergedSVD(target, k int32, out unsafe.Pointer) int32

//go:wasmimport tenon_v1 last_error
//go:noescape
func lastError(dst unsafe.Pointer, limit int32) int32

//go:wasmimport tenon_v1 metric
//go:noescape
func metric(target, peer int32, name string, value float64) int32

//go:wasmimport tenon_v1 grid
//go:noescape
func grid(target, peer int32, name string, rows, cols int32, src unsafe.Pointer) int32

//go:wasmimport tenon_v1 finding
//go:noescape
func finding(target, severity int32, code, message, hint string, value, limit float64) int32

//go:wasmimport tenon_v1 log
//go:noescape
func log(text string) int32

func address[T any](s []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

// Every function below is the import of its name; see abi.Functions for what each does and gives. A slice to write into stands for
// pointer and capacity, or pointer and count.

func TargetCount() int32 { return targetCount() }

func TargetInfo(target int32, out *[abi.TargetInfoSize]byte) int32 {
	return targetInfo(target, unsafe.Pointer(out))
}

func TargetName(target int32, dst []byte) int32 {
	return targetName(target, address(dst), int32(len(dst)))
}

func PeerCount() int32 { return peerCount() }

func PeerName(peer int32, dst []byte) int32 { return peerName(peer, address(dst), int32(len(dst))) }

func PeerTarget(peer, target int32, out *[abi.TargetInfoSize]byte) int32 {
	return peerTarget(peer, target, unsafe.Pointer(out))
}

func Attr(key string, dst []byte) int32 { return attr(key, address(dst), int32(len(dst))) }

func Param(name string, out *float64) int32 { return param(name, unsafe.Pointer(out)) }

func BankCount() int32 { return bankCount() }

func BankName(entry int32, dst []byte) int32 { return bankName(entry, address(dst), int32(len(dst))) }

func BankFeatures(target int32) int32 { return bankFeatures(target) }

func TensorShape(handle int32, out *[2]int64) int32 { return tensorShape(handle, unsafe.Pointer(out)) }

func TensorReadF32(handle int32, first int64, dst []float32) int32 {
	return tensorReadF32(handle, first, address(dst), int32(len(dst)))
}

func TensorReadF64(handle int32, first int64, dst []float64) int32 {
	return tensorReadF64(handle, first, address(dst), int32(len(dst)))
}

func TensorPutF64(src []float64, rows, cols int32) int32 {
	return tensorPutF64(address(src), rows, cols)
}

func TensorDrop(handle int32) int32 { return tensorDrop(handle) }

func MatMul(a, b, flags int32) int32 { return matmul(a, b, flags) }

func Axpby(alpha float64, x int32, beta float64, y int32) int32 { return axpby(alpha, x, beta, y) }

func Stats(handle int32, out *[abi.StatsSize]byte) int32 { return stats(handle, unsafe.Pointer(out)) }

func QR(handle int32, out *[2]int32) int32 { return qr(handle, unsafe.Pointer(out)) }

func SVD(handle int32, out *[3]int32) int32 { return svd(handle, unsafe.Pointer(out)) }

func DeltaSVD(b, a int32, scale float64, out *[3]int32) int32 {
	return deltaSVD(b, a, scale, unsafe.Pointer(out))
}

func DeltaValues(b, a int32, scale float64, out *int32) int32 {
	return deltaValues(b, a, scale, unsafe.Pointer(out))
}

func Project(w, u, v int32) int32 { return project(w, u, v) }

func ProjectStats(w, u, v int32, out *[abi.StatsSize]byte) int32 {
	return projectStats(w, u, v, unsafe.Pointer(out))
}

func BaseSVD(target, k int32, out *[3]int32) int32 { return baseSVD(target, k, unsafe.Pointer(out)) }

func RoundLoss(target, dtype int32, out *[abi.RoundLossSize]byte) int32 {
	return roundLoss(target, dtype, unsafe.Pointer(out))
}

func Rounding(target int32, first, rows int64, formats []abi.Format, out []byte) int32 {
	return rounding(target, first, rows, address(formats), int32(len(formats)), address(out))
}

func MergedSVD(target, k int32, out *[3]int32) int32 {
	return mergedSVD(target, k, unsafe.Pointer(out))
}

func LastError(dst []byte) int32 { return lastError(address(dst), int32(len(dst))) }

func Metric(target, peer int32, name string, value float64) int32 {
	return metric(target, peer, name, value)
}

func Grid(target, peer int32, name string, rows, cols int32, values []float64) int32 {
	return grid(target, peer, name, rows, cols, address(values))
}

func Finding(target, severity int32, code, message, hint string, value, limit float64) int32 {
	return finding(target, severity, code, message, hint, value, limit)
}

func Log(text string) int32 { return log(text) }
