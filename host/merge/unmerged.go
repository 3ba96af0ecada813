package merge

import (
	"crypto/sha256"

	"github.com/tenon-ml/tenon/host/fault"
)

// UnmergedRule names the arithmetic of a generation whose factors stay beside the base: y = W x + s * B (A x).
const UnmergedRule = "tenon.unmerged/1"

// unmergedRules is the name of the same change without a merge, by the rule of the merge.
var unmergedRules = map[string]string{Rule: UnmergedRule, FormsRule: "tenon.unmerged/2"}

// Unmerge is the plan of the same change without a merge: the backend keeps the factors and adds their product at each token. It is another
// generation, with a digest of its own. It borrows what p borrows. Only of a plain plan is there one: see RefuseUnmerged.
func (p *Plan) Unmerge() *Plan {
	other := *p
	other.owned = nil
	other.Unmerged = true
	other.name()
	return &other
}

// RefuseUnmerged refuses a plan that only a merge can carry out, because something in it is more than two factors for one matrix.
func (p *Plan) RefuseUnmerged() error {
	for _, item := range p.Items {
		if !item.Plain() {
			return fault.New(fault.UsageFlag, "this change is not two factors of a matrix, and can only be merged").In(p.Adapter.Ref).Of(item.Name).
				Fix("load it with mode merged")
		}
	}
	return nil
}

// Bytes is about the memory that a backend needs for the generation, beyond the base: the merged tensors, or the factors in 32 bits each.
func (p *Plan) Bytes() int64 {
	var total int64
	for _, item := range p.Items {
		if p.Unmerged {
			total += 4 * int64(item.A.Elements()+item.B.Elements())
		} else {
			total += item.Base.Length
		}
	}
	return total
}

// checkFactors holds what a backend says of factors that it keeps against their stored bytes, A's followed by B's.
func (p *Plan) checkFactors(item Item, staged *Staged) error {
	if changed := staged.changed[item.Name]; changed != 0 {
		return mismatch(item, "the backend changed %d entries of a weight that it was to leave alone", changed)
	}
	a, err := p.read(item.A)
	if err != nil {
		return err
	}
	b, err := p.read(item.B)
	if err != nil {
		return err
	}
	h := sha256.New()
	h.Write(a)
	h.Write(b)
	if sum := [32]byte(h.Sum(nil)); sum != staged.Digests[item.Name] {
		return mismatch(item, "the backend keeps factors that hash to %x, the adapter's to %x", staged.Digests[item.Name], sum)
	}
	return nil
}
