package merge_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"testing"
)

// TestPlainDigest holds the digest of a plan of nothing but factors against its words: generations that are kept somewhere go by it.
func TestPlainDigest(t *testing.T) {
	p := newPlan(t, 0.5)
	for rule, got := range map[string][32]byte{"tenon.merge/1": p.Digest, "tenon.unmerged/1": p.Unmerge().Digest} {
		text := fmt.Sprintf("%s\nbase %x\nadapter %x\n", rule, p.Base.Digest, p.Adapter.Digest)
		for _, item := range p.Items {
			text += fmt.Sprintf("%016x %t %q\n", math.Float64bits(item.Scale), item.FanInFanOut, item.Name)
		}
		if want := sha256.Sum256([]byte(text)); got != want {
			t.Errorf("%s: %x, want %x", rule, got, want)
		}
	}
	if !p.Plain() || p.RefuseUnmerged() != nil || len(p.Notes) != 0 {
		t.Errorf("plain %v, notes %v", p.Plain(), p.Notes)
	}
}
