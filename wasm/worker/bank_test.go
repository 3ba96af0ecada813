package worker

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// sampleBank has features of the first target alone, and of one of two adapters.
func sampleBank() *sandbox.Bank {
	return &sandbox.Bank{Names: []string{"sha256:f00d", "sha256:d00d"},
		Features: []sandbox.Matrix{{}, {Rows: 2, Cols: 2, Data: []float64{1, math.Inf(-1), math.NaN(), math.NaN()}}}}
}

func TestBankTravelsToTheWorker(t *testing.T) {
	for name, bank := range map[string]*sandbox.Bank{"none": nil, "empty": {}, "with features": sampleBank()} {
		t.Run(name, func(t *testing.T) {
			j := job(wasmtest.Quiet(), abi.Limits{})
			j.Input.Bank = bank
			req, _, err := describe(j)
			if err != nil {
				t.Fatal(err)
			}
			rebuilt, err := req.input(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprintf("%+v", rebuilt.Bank), fmt.Sprintf("%+v", bank); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// TestBankIsBounded: one that is too large is refused before a worker is started.
func TestBankIsBounded(t *testing.T) {
	j := job(wasmtest.Quiet(), abi.Limits{})
	half := sandbox.Matrix{Rows: 1, Cols: sandbox.MaxBankValues/2 + 1, Data: make([]float64, sandbox.MaxBankValues/2+1)}
	j.Input.Bank = &sandbox.Bank{Names: []string{"a"}, Features: []sandbox.Matrix{half, half}}
	result, _ := (&Runner{Executable: "/absent"}).Run(context.Background(), j)
	if result.Status != sandbox.WorkerDied || !strings.Contains(result.Error, "fewer adapters") {
		t.Errorf("%s %q", result.Status, result.Error)
	}
}
