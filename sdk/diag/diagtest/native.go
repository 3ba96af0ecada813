package diagtest

import (
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/internal/host"
)

// Host answers the calls of a diagnostic that runs natively; the fake behind Run is one. Every method is the function of its name in
// abi.Functions.
type Host = host.Host

// RunOn runs diagnose against another host than the fake, such as the sandbox's own functions for a benchmark, and returns its error.
func RunOn(h Host, diagnose func(*diag.Run) error) error {
	running.Lock()
	defer running.Unlock()
	host.Installed = h
	defer func() { host.Installed = nil }()
	return diag.Call(diagnose)
}
