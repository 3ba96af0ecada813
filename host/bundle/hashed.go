package bundle

import (
	"crypto/sha256"
	"hash"
	"io"

	"github.com/tenon-ml/tenon/host/fault"
)

// hashed reads a file to pack and hashes what it reads.
type hashed struct {
	from io.Reader
	sum  hash.Hash
	n    int64
}

func newHashed(c Content) *hashed {
	return &hashed{from: io.NewSectionReader(c.Data, 0, c.Size), sum: sha256.New()}
}

func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	h.n += int64(n)
	h.sum.Write(p[:n])
	return n, err
}

// check refuses bytes that are not those that were promised.
func (h *hashed) check(c Content) error {
	if found := h.sum.Sum(nil); h.n != c.Size || [32]byte(found) != c.SHA256 {
		return fault.New(fault.DigestBad, "it has %d bytes of digest %x, and %d bytes of digest %x were promised", h.n, found, c.Size, c.SHA256).
			In(c.Name).Fix("the file changed meanwhile: pack the adapter again")
	}
	return nil
}
