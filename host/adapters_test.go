package host

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter/adaptertest"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/merge"
)

// mergedTensors merges an adapter into a new directory, holds it against its receipt, and returns all tensors of it.
func mergedTensors(t *testing.T, h *Host, baseDir, adapterDir string) map[string]adaptertest.Tensor {
	t.Helper()
	out := filepath.Join(t.TempDir(), "merged")
	receipt, r, err := h.Merge(t.Context(), MergeRequest{Adapter: adapterDir, Scale: 1, Base: baseDir, Out: out, Override: "a test of the merge"})
	if err != nil {
		t.Fatal(err)
	}
	if receipt == nil {
		t.Fatalf("the adapter was refused: %+v", r.Findings)
	}
	if _, err := merge.Verify(t.Context(), out); err != nil {
		t.Error(err)
	}
	return safetensorsOf(t, out)
}

// safetensorsOf reads every tensor of a checkpoint.
func safetensorsOf(t *testing.T, dir string) map[string]adaptertest.Tensor {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s has no weights: %v", dir, err)
	}
	all := map[string]adaptertest.Tensor{}
	for _, path := range paths {
		maps.Copy(all, adaptertest.Read(t, path))
	}
	return all
}

// TestRowsOfPEFTMerge merges every row through the CPU backend and holds each tensor against the row's oracle, computed in F64 without PEFT and
// without Tenon: one unit in the last place of its rounding into the base's type at most. Against PEFT's own merge it is what PEFT's roundings
// explain. Everything else is the base's, to the byte.
func TestRowsOfPEFTMerge(t *testing.T) {
	h := newHost(t, Options{})
	for _, row := range adaptertest.Rows(t, filepath.Join("adapter", "testdata", "peft")) {
		if row.Expect.Refused != "" || raceRun && !slices.Contains(readable[:4], row.Name) {
			continue
		}
		t.Run(row.Name, func(t *testing.T) {
			got := mergedTensors(t, h, row.Base(), row.Adapter())
			oracle, peft, before := row.Oracle(t), row.Merged(t), safetensorsOf(t, row.Base())
			var worst, fromPEFT int64
			for _, name := range slices.Sorted(maps.Keys(oracle)) {
				merged, ok := got[name]
				if !ok {
					t.Errorf("%s was not written", name)
					continue
				}
				ulps := adaptertest.Ulps(t, merged, oracle[name].Rounded(t, merged.DType))
				worst = max(worst, ulps)
				if ulps > ulpsAllowed(row) {
					t.Errorf("%s is %d ulp from the oracle", name, ulps)
				}
				want := row.Expect.Tensors[name]
				switch {
				case want.Differs != "":
					t.Logf("%s is not compared with PEFT: %s", name, want.Differs)
					continue
				case peft[name].DType != merged.DType:
					t.Errorf("%s is stored as %v, and by PEFT as %v", name, merged.DType, peft[name].DType)
					continue
				}
				ulps = adaptertest.Ulps(t, merged, peft[name])
				fromPEFT = max(fromPEFT, ulps)
				if ulps > want.Ulps+ulpsAllowed(row) {
					t.Errorf("%s is %d ulp from PEFT's merge, which is %d from the oracle", name, ulps, want.Ulps)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(before)) {
				if _, changes := oracle[name]; !changes && !bytes.Equal(got[name].Bytes, before[name].Bytes) {
					t.Errorf("%s is not the base's", name)
				}
			}
			if want := len(before) + len(row.Expect.New); len(got) != want {
				t.Errorf("%d tensors were written, want %d", len(got), want)
			}
			t.Logf("at most %d ulp from the oracle and %d from PEFT", worst, fromPEFT)
		})
	}
}

// ulpsAllowed is how far a merged tensor may be from the oracle's rounding: 1, and 2 for DoRA of an F32 base, as measured (PEFT's own merge is 3
// away there), because the sum, the gain and their product are each rounded to F32, which is the base's type.
func ulpsAllowed(row adaptertest.Row) int64 {
	if row.Name == "dora-linear-f32" {
		return 2
	}
	return 1
}

// hygienePolicy asks the one diagnostic that finds broken values.
const hygienePolicy = `schema: tenon.policy/v1
name: hygiene
modules:
  - {id: hygiene, grant: [base, kernels]}
rules:
  - {code: DIAGNOSTIC_DENIES, severity: deny, when: 'findings.exists(f, f.severity == "deny")', message: a finding denies}
`

// The rows whose twins are asked for: one for each form of a change. The codes of what cannot be read, package adapter wants of every row.
var (
	readable = []string{"linear-bf16", "fan-in-fan-out", "wrapped-prefix", "embeddings", "embeddings-of-another-base", "tokens-list", "convolution-2d",
		"attention", "experts-two", "experts-unfused", "lora-bias", "bias-all", "dora-linear", "dora-embedding", "dora-convolution", "module-new",
		"module-replaced", "pissa", "olora"}
	unreadable = []string{"linear-bf16", "embeddings", "experts-two", "module-replaced", "tokens-list"}
)

// TestTwinsWriteNothing asks for the merge of twins: no verdict is open, and nothing is written.
func TestTwinsWriteNothing(t *testing.T) {
	policy, err := gate.ParsePolicy("hygiene.yaml", []byte(hygienePolicy))
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t, Options{Policy: policy})
	for _, row := range adaptertest.Rows(t, filepath.Join("adapter", "testdata", "peft")) {
		for _, twin := range adaptertest.Twins {
			asked := unreadable
			if twin.Gate {
				asked = readable
			}
			if raceRun {
				asked = asked[:1]
			}
			if !slices.Contains(asked, row.Name) {
				continue
			}
			t.Run(row.Name+"/"+twin.Name, func(t *testing.T) {
				spoiled, possible := twin.Of(t, row)
				if !possible && twin.Some {
					t.Skip("the row has nothing to spoil in this way")
				}
				wantRefused(t, h, spoiled, twin)
			})
		}
	}
}

func wantRefused(t *testing.T, h *Host, r adaptertest.Row, twin adaptertest.Twin) {
	t.Helper()
	place := t.TempDir()
	receipt, refused, err := h.Merge(t.Context(), MergeRequest{Adapter: r.Adapter(), Scale: 1, Base: r.Base(), Out: filepath.Join(place, "out")})
	if err != nil {
		t.Fatal(err)
	}
	if receipt != nil || refused.Verdict.Open() {
		t.Errorf("the verdict is %s", refused.Verdict)
	}
	var found []fault.Code
	for _, finding := range refused.Findings {
		found = append(found, fault.Code(finding.Code))
	}
	if !twin.Refused(found) {
		t.Errorf("the findings are %v, want %s", found, twin.Code)
	}
	if left, err := os.ReadDir(place); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
