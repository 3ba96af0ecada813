package host

import (
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/probe"
)

// WithPolicy is the same host with another policy, and the probes that go with it: those given, or those that the policy names. A policy that
// does not load leaves this host as it is.
func (h *Host) WithPolicy(policy *gate.Policy, given *probe.File) (*Host, error) {
	probes, err := chooseProbe(Options{Policy: policy, Probe: given})
	if err != nil {
		return nil, err
	}
	other := *h
	other.probe = probes
	other.gate = &gate.Gate{}
	*other.gate = *h.gate
	other.gate.Policy = policy
	if err := policy.Missing(); err != nil {
		h.log.Warn("the gate stays closed: modules of the policy are missing", "policy", policy.Name, "cause", err)
	}
	return &other, nil
}
