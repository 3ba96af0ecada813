//go:build !amd64

package kernel

const sha256PairUsable = false

func sha256Pair(table, a, b *uint32, p, q *byte, blocks int) {
	panic("kernel: no pair of digests here")
}
