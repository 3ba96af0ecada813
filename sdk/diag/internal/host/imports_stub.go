//go:build !wasip1

package host

import "github.com/tenon-ml/tenon/sdk/abi"

func installed() Host {
	if Installed == nil {
		panic("diag: there is no host here; run the diagnostic through diagtest.Run, or build it with GOOS=wasip1 GOARCH=wasm")
	}
	return Installed
}

func TargetCount() int32 { return installed().TargetCount() }

func TargetInfo(target int32, out *[abi.TargetInfoSize]byte) int32 {
	return installed().TargetInfo(target, out)
}

func TargetName(target int32, dst []byte) int32 { return installed().TargetName(target, dst) }

func PeerCount() int32 { return installed().PeerCount() }

func PeerName(peer int32, dst []byte) int32 { return installed().PeerName(peer, dst) }

func PeerTarget(peer, target int32, out *[abi.TargetInfoSize]byte) int32 {
	return installed().PeerTarget(peer, target, out)
}

func Attr(key string, dst []byte) int32 { return installed().Attr(key, dst) }

func Param(name string, out *float64) int32 { return installed().Param(name, out) }

func BankCount() int32 { return installed().BankCount() }

func BankName(entry int32, dst []byte) int32 { return installed().BankName(entry, dst) }

func BankFeatures(target int32) int32 { return installed().BankFeatures(target) }

func TensorShape(handle int32, out *[2]int64) int32 { return installed().TensorShape(handle, out) }

func TensorReadF32(handle int32, first int64, dst []float32) int32 {
	return installed().TensorReadF32(handle, first, dst)
}

func TensorReadF64(handle int32, first int64, dst []float64) int32 {
	return installed().TensorReadF64(handle, first, dst)
}

func TensorPutF64(src []float64, rows, cols int32) int32 {
	return installed().TensorPutF64(src, rows, cols)
}

func TensorDrop(handle int32) int32 { return installed().TensorDrop(handle) }

func MatMul(a, b, flags int32) int32 { return installed().MatMul(a, b, flags) }

func Axpby(alpha float64, x int32, beta float64, y int32) int32 {
	return installed().Axpby(alpha, x, beta, y)
}

func Stats(handle int32, out *[abi.StatsSize]byte) int32 { return installed().Stats(handle, out) }

func QR(handle int32, out *[2]int32) int32 { return installed().QR(handle, out) }

func SVD(handle int32, out *[3]int32) int32 { return installed().SVD(handle, out) }

func DeltaSVD(b, a int32, scale float64, out *[3]int32) int32 {
	return installed().DeltaSVD(b, a, scale, out)
}

func DeltaValues(b, a int32, scale float64, out *int32) int32 {
	return installed().DeltaValues(b, a, scale, out)
}

func Project(w, u, v int32) int32 { return installed().Project(w, u, v) }

func ProjectStats(w, u, v int32, out *[abi.StatsSize]byte) int32 {
	return installed().ProjectStats(w, u, v, out)
}

func BaseSVD(target, k int32, out *[3]int32) int32 { return installed().BaseSVD(target, k, out) }

func RoundLoss(target, dtype int32, out *[abi.RoundLossSize]byte) int32 {
	return installed().RoundLoss(target, dtype, out)
}

func Rounding(target int32, first, rows int64, formats []abi.Format, out []byte) int32 {
	return installed().Rounding(target, first, rows, formats, out)
}

func MergedSVD(target, k int32, out *[3]int32) int32 { return installed().MergedSVD(target, k, out) }

func LastError(dst []byte) int32 { return installed().LastError(dst) }

func Metric(target, peer int32, name string, value float64) int32 {
	return installed().Metric(target, peer, name, value)
}

func Grid(target, peer int32, name string, rows, cols int32, values []float64) int32 {
	return installed().Grid(target, peer, name, rows, cols, values)
}

func Finding(target, severity int32, code, message, hint string, value, limit float64) int32 {
	return installed().Finding(target, severity, code, message, hint, value, limit)
}

func Log(text string) int32 { return installed().Log(text) }
