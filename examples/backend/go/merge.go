package main

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// fma is x*y+z rounded once to f32, as a fused multiply-add does. The product of two f32 is exact in f64, but its sum with z may not be, and
// rounding to f64 first and to f32 then would round twice. So the sum is rounded to odd: of the two f64 around it, the one whose last bit is set
// keeps a trace of all that was cut off, and rounding that one to f32 equals rounding the exact sum. math.FMA does not help: it rounds to f64.
func fma(x, y, z float32) float32 {
	product := float64(x) * float64(y)
	sum := product + float64(z)
	shadow := sum - product
	rest := (product - (sum - shadow)) + (float64(z) - shadow) // exactly what the addition lost (Knuth's TwoSum)
	bits := math.Float64bits(sum)
	if rest == 0 || bits&1 == 1 || math.IsInf(sum, 0) || sum != sum {
		return float32(sum)
	}
	if (rest > 0) == (sum > 0) {
		return float32(math.Float64frombits(bits + 1))
	}
	return float32(math.Float64frombits(bits - 1))
}

// merge computes one weight by the merge rule: W' = round(f32(W) + delta), delta = sum over k of fma(f32(scale) * B[i,k], A[k,j]), k ascending
// from 0, in f32. a is r x in, b is out x r, both row-major; stored are the base's bytes of the weight.
func merge(stored []byte, weight *backendpb.Tensor, patch *backendpb.Patch, a, b []float32) ([]byte, *backendpb.MergeEvent) {
	dtype, _ := tensor.ParseDType(weight.Dtype)
	w := values(stored, dtype)
	cols, rank, in := int(weight.Shape[1]), int(patch.A.Shape[0]), int(patch.A.Shape[1])
	scaled := make([]float32, len(b))
	for i, v := range b {
		scaled[i] = float32(patch.Scale) * v
	}
	merged := make([]byte, 0, len(stored))
	event := &backendpb.MergeEvent{Tensor: weight.Name}
	for at, before := range w {
		i, j := at/cols, at%cols
		if patch.FanInFanOut { // the base stores the weight transposed
			i, j = j, i
		}
		var delta float32
		for k := range rank {
			delta = fma(scaled[i*rank+k], a[k*in+j], delta)
		}
		after := before + delta
		merged = appendValue(merged, after, dtype)
		size := dtype.Size()
		entry := merged[at*size:]
		if string(entry) != string(stored[at*size:(at+1)*size]) {
			event.Changed++
		}
		if finite(before) && !finite(values(entry, dtype)[0]) {
			event.NonFinite++
		}
	}
	sum := sha256.Sum256(merged)
	event.Sha256 = sum[:]
	return merged, event
}

func finite(v float32) bool { return v-v == 0 }

// values are the f32 values of stored bytes.
func values(stored []byte, dtype tensor.DType) []float32 {
	out := make([]float32, len(stored)/dtype.Size())
	if err := tensor.ToF32(out, stored, dtype); err != nil {
		panic(err) // never: checkPatch lets nothing else in
	}
	return out
}

// appendValue rounds to nearest, ties to even.
func appendValue(to []byte, v float32, dtype tensor.DType) []byte {
	switch dtype {
	case tensor.BF16:
		return binary.LittleEndian.AppendUint16(to, tensor.F32ToBF16(v))
	case tensor.F16:
		return binary.LittleEndian.AppendUint16(to, tensor.F32ToF16(v))
	default:
		return binary.LittleEndian.AppendUint32(to, math.Float32bits(v))
	}
}

// multiply is a stored matrix times a probe of +1 and -1, summed in the 16 lanes that backend.Probe tells of.
func multiply(stored []byte, dtype tensor.DType, probe []int8) []float64 {
	w, cols := values(stored, dtype), len(probe)
	product := make([]float64, len(w)/cols)
	for i := range product {
		var lane [16]float64
		for j, x := range probe {
			lane[j%16] += float64(w[i*cols+j]) * float64(x)
		}
		for half := 8; half > 0; half /= 2 {
			for l := range half {
				lane[l] += lane[l+half]
			}
		}
		product[i] = lane[0]
	}
	return product
}
