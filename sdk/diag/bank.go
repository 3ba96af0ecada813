package diag

import (
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/internal/host"
)

// The operator's bank is what this module reported, under the name of a grid "features" of 1 x n, about each of the adapters that the
// operator knows to be good on this base. A module that wants to hold an adapter against them reports that grid for targets, or for the
// adapter as a whole, and gets it back here as one table.

// BankNames gives the digests of the adapters in the operator's bank for this base, in the order of the rows of BankFeatures. It is false
// where no bank was given; a bank can also be empty.
func (r *Run) BankNames() ([]string, bool) {
	n := host.BankCount()
	if n < 0 {
		if abi.Status(n) != abi.NotFound {
			r.keep(failure("bank_count", n))
		}
		return nil, false
	}
	names := make([]string, n)
	for i := range names {
		name, err := text("bank_name", func(dst []byte) int32 { return host.BankName(int32(i), dst) })
		r.keep(err)
		names[i] = name
	}
	return names, true
}

// BankFeatures gives what this module reported as features of each adapter in the bank as a whole: row i is the adapter i of BankNames,
// NaN where that adapter has none. It is false where nobody has.
func (r *Run) BankFeatures() (Tensor, bool) { return r.bankFeatures(abi.NoTarget) }

// BankFeatures gives what this module reported as features of this weight for each adapter in the bank; see Run.BankFeatures.
func (t Target) BankFeatures() (Tensor, bool) { return t.run.bankFeatures(t.index) }

func (r *Run) bankFeatures(target int32) (Tensor, bool) {
	handle := host.BankFeatures(target)
	if handle < 0 {
		if abi.Status(handle) != abi.NotFound {
			r.keep(failure("bank_features", handle))
		}
		return Tensor{}, false
	}
	return tensor(handle), true
}
