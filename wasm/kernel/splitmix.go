package kernel

// splitmix is Vigna's generator of 64-bit numbers: small, good, and the same everywhere. Its value is the seed and the state.
type splitmix uint64

// fill writes independent numbers, uniform in [-1, 1).
func (s *splitmix) fill(x []float64) {
	for i := range x {
		*s += 0x9e3779b97f4a7c15
		z := uint64(*s)
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		x[i] = float64(int64(z^z>>31)>>11) * 0x1p-52
	}
}
