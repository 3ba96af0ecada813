package host

import "github.com/tenon-ml/tenon/host/gate"

// Gate is the host's own gate, for questions that are no check of an adapter on its way to a merge: what two adapters have to do with each
// other, with a base or without one, and what a bank should remember of an adapter. It asks no probes.
func (h *Host) Gate() *gate.Gate { return h.gate }
