package kernel

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// TestSHA256Pair holds pairs of digests, written in pieces of many lengths, against crypto/sha256.
func TestSHA256Pair(t *testing.T) {
	text := make([]byte, 20_000)
	for i := range text {
		text[i] = byte(i*i>>3 ^ i)
	}
	eachImplementation(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 55, 56, 63, 64, 65, 119, 128, 191, 192, 4096, 5000} {
			for _, m := range []int{0, 63, 64, 1000, 4096, 9999} {
				for _, piece := range []int{64, 100, 4096, 1 << 20} {
					a, b := text[1:1+n], text[7000:7000+m] // on no boundary
					pair := NewSHA256Pair()
					restA, restB := a, b
					for {
						done := pair.Write(restA[:min(piece, len(restA))], restB[:min(piece, len(restB))])
						if done == 0 {
							break
						}
						restA, restB = restA[done:], restB[done:]
					}
					if len(restA) >= 64 && len(restB) >= 64 {
						t.Fatalf("%d and %d bytes are left of %d and %d", len(restA), len(restB), n, m)
					}
					first, second := pair.Split()
					first.Write(restA)
					second.Write(restB)
					wantA, wantB := sha256.Sum256(a), sha256.Sum256(b)
					if !bytes.Equal(first.Sum(nil), wantA[:]) || !bytes.Equal(second.Sum(nil), wantB[:]) {
						t.Fatalf("%d and %d bytes in pieces of %d: other digests", n, m, piece)
					}
				}
			}
		}
	})
}

func BenchmarkSHA256(b *testing.B) {
	text := make([]byte, 512<<10)
	b.Run("one", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		h := sha256.New()
		for b.Loop() {
			h.Write(text)
		}
	})
	b.Run("pair", func(b *testing.B) {
		b.SetBytes(2 * int64(len(text)))
		p := NewSHA256Pair()
		for b.Loop() {
			p.Write(text, text)
		}
	})
}
