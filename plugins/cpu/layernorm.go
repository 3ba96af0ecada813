package cpu

import "math"

// layerNorm computes weight · (x - mean(x)) / sqrt(mean((x - mean(x))²) + eps) + bias, the means in f64.
func layerNorm(weight, bias []float32, eps float64) norm {
	return func(dst, x []float32) {
		mean := 0.0
		for _, v := range x {
			mean += float64(v)
		}
		mean /= float64(len(x))
		squares := 0.0
		for i, v := range x {
			dst[i] = float32(float64(v) - mean)
			squares += float64(dst[i]) * float64(dst[i]) // exact product
		}
		inverse := float32(1 / math.Sqrt(squares/float64(len(x))+eps))
		for i, v := range dst {
			dst[i] = float32(weight[i]*float32(v*inverse)) + bias[i]
		}
	}
}
