package kernel

// packTogether copies steps groups of n numbers, stride apart in src, to dst, height apart. Groups as large as a tile's rows or columns are copied
// without a call.
func packTogether(dst []float32, height int, src []float32, stride, n, steps int) {
	for k := range steps {
		to, from := dst[k*height:][:n], src[k*stride:][:n]
		switch n {
		case 6:
			*(*[6]float32)(to) = *(*[6]float32)(from)
		case 12:
			*(*[12]float32)(to) = *(*[12]float32)(from)
		case 16:
			*(*[16]float32)(to) = *(*[16]float32)(from)
		case 32:
			*(*[32]float32)(to) = *(*[32]float32)(from)
		default:
			copy(to, from)
		}
	}
}

// packApart writes n rows of steps numbers, stride apart in src, as the columns of dst: those of one step together, height from one step to the
// next.
func packApart(dst []float32, height int, src []float32, stride, n, steps int) {
	i := 0
	for ; i+4 <= n; i += 4 {
		r0, r1, r2, r3 := src[i*stride:][:steps], src[(i+1)*stride:][:steps], src[(i+2)*stride:][:steps], src[(i+3)*stride:][:steps]
		to := dst[i:]
		for k, v := range r0 {
			*(*[4]float32)(to) = [4]float32{v, r1[k], r2[k], r3[k]}
			to = to[min(height, len(to)):]
		}
	}
	for ; i < n; i++ {
		at := i
		for _, v := range src[i*stride:][:steps] {
			dst[at] = v
			at += height
		}
	}
}
