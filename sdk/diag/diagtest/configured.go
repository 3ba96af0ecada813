package diagtest

import (
	"maps"
	"os"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// Configured gives the adapter what a run under the manifest file NAME.json has: the capabilities that the manifest needs, and its
// parameters at their defaults, but for the parameters that adapter sets itself. A manifest that cannot be read ends the test.
func Configured(t testing.TB, manifest string, adapter Adapter) Adapter {
	t.Helper()
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var m abi.Manifest
	if err := json.Unmarshal(text, &m, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%s: %v", manifest, err)
	}
	params := map[string]float64{}
	for name, parameter := range m.Params {
		params[name] = parameter.Default
	}
	maps.Copy(params, adapter.Params)
	adapter.Grants, adapter.Params = append([]abi.Capability{}, m.Needs...), params
	return adapter
}

// MustRun is Run of a diagnostic that has to succeed: its error ends the test.
func MustRun(t testing.TB, adapter Adapter, diagnose func(*diag.Run) error) *Report {
	t.Helper()
	report := Run(t, adapter, diagnose)
	if report.Err != nil {
		t.Fatal(report.Err)
	}
	return report
}
