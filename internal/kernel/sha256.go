package kernel

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
)

// SHA256Pair takes two SHA-256 digests side by side. Within one digest every instruction waits for the one before, so a processor with
// instructions for SHA-256 takes two of them in little more time than one. Where there are none it is crypto/sha256, twice.
type SHA256Pair struct {
	states [2][8]uint32
	length int64 // bytes so far, of either
	plain  [2]hash.Hash
}

// NewSHA256Pair returns the pair of the digests of nothing.
func NewSHA256Pair() *SHA256Pair {
	if !sha256PairUsable || active.name == generic.name {
		return &SHA256Pair{plain: [2]hash.Hash{sha256.New(), sha256.New()}}
	}
	return &SHA256Pair{states: [2][8]uint32{sha256Initial, sha256Initial}}
}

// Write adds a to the first digest and b to the second, as much of both as is a multiple of 64 bytes and no longer than either, and returns
// how much that is.
func (p *SHA256Pair) Write(a, b []byte) int {
	n := min(len(a), len(b)) / sha256.BlockSize * sha256.BlockSize
	switch {
	case n == 0:
	case p.plain[0] != nil:
		p.plain[0].Write(a[:n])
		p.plain[1].Write(b[:n])
	default:
		sha256Pair(&sha256Table[0], &p.states[0][0], &p.states[1][0], &a[0], &b[0], n/sha256.BlockSize)
		p.length += int64(n)
	}
	return n
}

// Split returns the two digests, to be ended one by one. The pair must not be written to afterwards.
func (p *SHA256Pair) Split() (a, b hash.Hash) {
	if p.plain[0] != nil {
		return p.plain[0], p.plain[1]
	}
	return p.resume(0), p.resume(1)
}

// resume gives the state to crypto/sha256, in the form in which that saves one of its own: after some number of whole blocks.
func (p *SHA256Pair) resume(i int) hash.Hash {
	saved := []byte("sha\x03")
	for _, place := range sha256Order {
		saved = binary.BigEndian.AppendUint32(saved, p.states[i][place])
	}
	saved = append(saved, make([]byte, sha256.BlockSize)...)
	saved = binary.BigEndian.AppendUint64(saved, uint64(p.length))
	h := sha256.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(saved); err != nil {
		panic("kernel: crypto/sha256 does not know its own state: " + err.Error()) // a test keeps watch
	}
	return h
}

// sha256Order is where the state's words A to H lie: F, E, B, A, H, G, D, C.
var sha256Order = [8]int{3, 2, 7, 6, 1, 0, 5, 4}

// sha256Initial is the state before the first block, in that order: the first 32 bits of the fractional parts of the square roots of the
// first eight primes.
var sha256Initial = [8]uint32{
	0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667, 0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372,
}

// sha256Table is the constant of each round, the first 32 bits of the fractional parts of the cube roots of the first 64 primes, and behind
// them the order in which the bytes of a message are read.
var sha256Table = [68]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
	0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f,
}
