// Package host is the border between a guest and its host: the functions of abi.Functions with Go's types in place of pointers and
// lengths. Compiled for wasip1 they are imports; natively they go to a Go value that diagtest installs.
package host

import "github.com/tenon-ml/tenon/sdk/abi"

// Host is what stands in for the imports where there is no WebAssembly host. Every method is the import of its name; see
// abi.Functions for what each does and gives. A slice to write into stands for pointer and capacity, or pointer and count.
type Host interface {
	TargetCount() int32
	TargetInfo(target int32, out *[abi.TargetInfoSize]byte) int32
	TargetName(target int32, dst []byte) int32
	PeerCount() int32
	PeerName(peer int32, dst []byte) int32
	PeerTarget(peer, target int32, out *[abi.TargetInfoSize]byte) int32
	Attr(key string, dst []byte) int32
	Param(name string, out *float64) int32
	BankCount() int32
	BankName(entry int32, dst []byte) int32
	BankFeatures(target int32) int32
	TensorShape(handle int32, out *[2]int64) int32
	TensorReadF32(handle int32, first int64, dst []float32) int32
	TensorReadF64(handle int32, first int64, dst []float64) int32
	TensorPutF64(src []float64, rows, cols int32) int32
	TensorDrop(handle int32) int32
	MatMul(a, b, flags int32) int32
	Axpby(alpha float64, x int32, beta float64, y int32) int32
	Stats(handle int32, out *[abi.StatsSize]byte) int32
	QR(handle int32, out *[2]int32) int32
	SVD(handle int32, out *[3]int32) int32
	DeltaSVD(b, a int32, scale float64, out *[3]int32) int32
	DeltaValues(b, a int32, scale float64, out *int32) int32
	Project(w, u, v int32) int32
	ProjectStats(w, u, v int32, out *[abi.StatsSize]byte) int32
	BaseSVD(target, k int32, out *[3]int32) int32
	RoundLoss(target, dtype int32, out *[abi.RoundLossSize]byte) int32
	Rounding(target int32, first, rows int64, formats []abi.Format, out []byte) int32 // RoundingSize bytes a format
	MergedSVD(target, k int32, out *[3]int32) int32
	LastError(dst []byte) int32
	Metric(target, peer int32, name string, value float64) int32
	Grid(target, peer int32, name string, rows, cols int32, values []float64) int32
	Finding(target, severity int32, code, message, hint string, value, limit float64) int32
	Log(text string) int32
}

// Installed answers the calls of a native build. It is nil until diagtest sets it; a call without it panics.
var Installed Host
