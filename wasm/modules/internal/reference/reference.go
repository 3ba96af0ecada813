// Package reference reads what an independent implementation in numpy computed, for the tests of the diagnostics. The files lie in a folder
// beside the repository; a test that wants one is skipped, and says so, where they are absent.
package reference

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// Diagnostics is golden_diag.json: two adapters of one weight of 14 x 10, and the statistics of the first or of both. Names are those of
// ref_diag.py.
type Diagnostics struct {
	W     [][]float64 `json:"W"`
	A     [][]float64 `json:"A"`  // of rank 3
	B     [][]float64 `json:"B"`  // likewise
	A2    [][]float64 `json:"A2"` // of rank 5
	B2    [][]float64 `json:"B2"` // likewise
	Scale float64     `json:"scale"`

	Singular []float64          `json:"singular_values"`
	Spectrum map[string]float64 `json:"spectrum"`
	Kurtosis float64            `json:"kurtosis"`
	Table7   map[string]float64 `json:"table7"`
	Swamping map[string]float64 `json:"swamping_bf16"`

	Intruders struct {
		Count  int       `json:"count"`
		MaxCos []float64 `json:"maxcos"`
		Share  float64   `json:"energy_share"`
	} `json:"intruders_k3"`

	PhiBaseLeft [][]float64 `json:"fig8_W_dW_left"`
	PhiA        [][]float64 `json:"phi_A_literal"`
	PhiRight    [][]float64 `json:"phi_right"`
	PhiLeft     [][]float64 `json:"phi_left"`
	Inner       float64     `json:"inner"`
	Cosine      float64     `json:"cosine"`
}

// ReadDiagnostics reads golden_diag.json.
func ReadDiagnostics(t testing.TB) Diagnostics {
	t.Helper()
	var d Diagnostics
	Read(t, &d, "reference", "golden_diag.json")
	return d
}

// Own is the first adapter's target, called w, with its base.
func (d Diagnostics) Own() diagtest.Target {
	return diagtest.Target{
		Name: "w", Scale: d.Scale, A: diagtest.Rows(d.A...), B: diagtest.Rows(d.B...), Base: diagtest.Rows(d.W...),
	}
}

// Theirs is the second adapter's target, of scale 1.
func (d Diagnostics) Theirs() diagtest.Target {
	return diagtest.Target{Name: "w", Scale: 1, A: diagtest.Rows(d.A2...), B: diagtest.Rows(d.B2...)}
}

// noInfinity makes JSON of what Python writes; the values that tests look at are all finite.
var noInfinity = strings.NewReplacer("-Infinity", "null", "Infinity", "null", "NaN", "null")

// Read reads the JSON file of this path below the shared folder into v. Numbers that are not finite are left zero.
func Read(t testing.TB, v any, path ...string) {
	t.Helper()
	file := File(t, path...)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(noInfinity.Replace(string(text))), v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// File gives the name of a file or folder below the shared folder, which exists: without it the test is skipped.
func File(t testing.TB, path ...string) string {
	t.Helper()
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(append([]string{root, "..", "shared"}, path...)...)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("skipped: no reference values: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	return file
}

// repository gives the folder of go.mod: tests run in the folder of their package.
func repository() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("reference: the test runs outside of the repository: there is no go.mod above its folder")
		}
		folder = parent
	}
}
