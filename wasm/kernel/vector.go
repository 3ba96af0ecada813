package kernel

// The loops below are where the factorisations spend their time. Inner products go to four sums, element i to sum i mod 4, which are then
// added pairwise; everything else is element by element. So code of any vector width can give the same bits.

// dot is the inner product of x and y, which are equally long.
func dot(x, y []float64) float64 {
	var s0, s1, s2, s3 float64
	y = y[:len(x)]
	i := 0
	for ; i < len(x)-3; i += 4 {
		s0 += float64(x[i] * y[i])
		s1 += float64(x[i+1] * y[i+1])
		s2 += float64(x[i+2] * y[i+2])
		s3 += float64(x[i+3] * y[i+3])
	}
	sums := [4]float64{s0, s1, s2, s3}
	for k := range x[i:] {
		sums[k&3] += float64(x[i+k] * y[i+k])
	}
	return (sums[0] + sums[2]) + (sums[1] + sums[3])
}

// dot2 is dot(v, x) and dot(v, y), in one pass over v.
func dot2(v, x, y []float64) (vx, vy float64) {
	var s0, s1, s2, s3, t0, t1, t2, t3 float64
	x, y = x[:len(v)], y[:len(v)]
	i := 0
	for ; i < len(v)-3; i += 4 {
		v0, v1, v2, v3 := v[i], v[i+1], v[i+2], v[i+3]
		s0 += float64(v0 * x[i])
		t0 += float64(v0 * y[i])
		s1 += float64(v1 * x[i+1])
		t1 += float64(v1 * y[i+1])
		s2 += float64(v2 * x[i+2])
		t2 += float64(v2 * y[i+2])
		s3 += float64(v3 * x[i+3])
		t3 += float64(v3 * y[i+3])
	}
	s, t := [4]float64{s0, s1, s2, s3}, [4]float64{t0, t1, t2, t3}
	for k := range v[i:] {
		s[k&3] += float64(v[i+k] * x[i+k])
		t[k&3] += float64(v[i+k] * y[i+k])
	}
	return (s[0] + s[2]) + (s[1] + s[3]), (t[0] + t[2]) + (t[1] + t[3])
}

// axpy adds a*x to y.
func axpy(a float64, x, y []float64) {
	y = y[:len(x)]
	i := 0
	for ; i < len(x)-3; i += 4 {
		y[i] += float64(a * x[i])
		y[i+1] += float64(a * x[i+1])
		y[i+2] += float64(a * x[i+2])
		y[i+3] += float64(a * x[i+3])
	}
	for ; i < len(x); i++ {
		y[i] += float64(a * x[i])
	}
}

// axpy2 is axpy(a, v, x) and axpy(b, v, y), in one pass over v.
func axpy2(a, b float64, v, x, y []float64) {
	x, y = x[:len(v)], y[:len(v)]
	i := 0
	for ; i < len(v)-1; i += 2 {
		v0, v1 := v[i], v[i+1]
		x[i] += float64(a * v0)
		x[i+1] += float64(a * v1)
		y[i] += float64(b * v0)
		y[i+1] += float64(b * v1)
	}
	for ; i < len(v); i++ {
		x[i] += float64(a * v[i])
		y[i] += float64(b * v[i])
	}
}

// gather2 is axpy(a, x, sum) and then axpy(b, y, sum), in one pass over sum.
func gather2(a, b float64, x, y, sum []float64) {
	x, y = x[:len(sum)], y[:len(sum)]
	for i, s := range sum {
		sum[i] = s + float64(a*x[i]) + float64(b*y[i])
	}
}

// rotate turns x and y into cosine*x - sine*y and sine*x + cosine*y.
func rotate(x, y []float64, cosine, sine float64) {
	y = y[:len(x)]
	for i, v := range x {
		w := y[i]
		x[i] = float64(cosine*v) - float64(sine*w)
		y[i] = float64(sine*v) + float64(cosine*w)
	}
}

func swap(x, y []float64) {
	y = y[:len(x)]
	for i, v := range x {
		x[i], y[i] = y[i], v
	}
}

func negate(x []float64) {
	for i, v := range x {
		x[i] = -v
	}
}
