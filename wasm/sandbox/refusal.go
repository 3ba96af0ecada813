package sandbox

import "strings"

// Refusal is why a module may not run. It is an error of the pre-check: no guest code has run.
type Refusal struct {
	Status  Status   // Denied when the only fault is a capability that was not granted, Invalid otherwise
	Reason  string   // one line
	Details []string // each missing or wrong import and export, with what the ABI expects
}

// Error gives the reason and the details on one line.
func (r *Refusal) Error() string {
	if len(r.Details) == 0 {
		return r.Reason
	}
	return r.Reason + ": " + strings.Join(r.Details, "; ")
}

var _ error = (*Refusal)(nil)
