package adapter

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter/adaptertest"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// loaded binds a row's adapter to its base.
func loaded(t *testing.T, r adaptertest.Row) (*Binding, error) {
	t.Helper()
	b, err := base.Open(r.Base())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	binding, err := Load(r.Adapter(), b)
	if err == nil {
		t.Cleanup(func() { binding.Close() })
	}
	return binding, err
}

// TestRowsOfPEFT binds what PEFT wrote, for each row of its merge table: exactly the weights that change have a target, and every tensor of the
// file goes where the row says. What merges are held against is in the tests of package host.
func TestRowsOfPEFT(t *testing.T) {
	for _, row := range adaptertest.Rows(t, "testdata/peft") {
		t.Run(row.Name, func(t *testing.T) {
			binding, err := loaded(t, row)
			if code := fault.Code(row.Expect.Refused); code != "" {
				if !slices.Contains(codes(err), code) || fault.ClassOf(err) != fault.Rejected {
					t.Errorf("not refused with %s: %v", code, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names, added []string
			for _, target := range binding.Targets {
				names = append(names, target.Name)
				if target.New() {
					added = append(added, target.Name)
				}
			}
			if want := slices.Sorted(maps.Keys(row.Expect.Tensors)); !slices.Equal(names, want) {
				t.Errorf("targets %q, want %q", names, want)
			}
			if !slices.Equal(added, row.Expect.New) {
				t.Errorf("new are %q, want %q", added, row.Expect.New)
			}
			checkCoverage(t, row, binding.Coverage)
		})
	}
}

func checkCoverage(t *testing.T, row adaptertest.Row, c report.Coverage) {
	t.Helper()
	stored := adaptertest.Read(t, filepath.Join(row.Base(), "model.safetensors"))
	given := adaptertest.Read(t, filepath.Join(row.Adapter(), weightsName))
	if len(c.Tensors) != len(row.Expect.Coverage) || c.Rejected > 0 {
		t.Errorf("%d tensors are accounted for, %d of them rejected, want %d", len(c.Tensors), c.Rejected, len(row.Expect.Coverage))
	}
	for _, tensor := range c.Tensors {
		want, known := row.Expect.Coverage[tensor.Name]
		original := strings.HasSuffix(tensor.Name, ".original_module.weight") ||
			strings.Contains(row.Name, "tied") && strings.Contains(tensor.Name, "lm_head")
		copied := tensor.Disposition == report.Ignored && tensor.Rule != "" && (original || bytes.Equal(given[tensor.Name].Bytes, stored[want].Bytes))
		switch {
		case !known:
			t.Errorf("%s is not in the file", tensor.Name)
		case copied: // what the base, or the same tensor under its other name, says already
		case tensor.Disposition != report.Applied && tensor.Disposition != report.Replaced:
			t.Errorf("%s is %s by rule %q", tensor.Name, tensor.Disposition, tensor.Rule)
		case want == "" && tensor.Target == "", want != "" && tensor.Target != want:
			t.Errorf("%s goes to %q, want %q", tensor.Name, tensor.Target, want)
		}
	}
}

// TestTwinsAreRefused spoils each row in each way that a reader must see, and wants the code of that way.
func TestTwinsAreRefused(t *testing.T) {
	for _, row := range adaptertest.Rows(t, "testdata/peft") {
		if row.Expect.Refused != "" {
			continue
		}
		for _, twin := range adaptertest.Twins {
			if twin.Gate {
				continue
			}
			t.Run(row.Name+"/"+twin.Name, func(t *testing.T) {
				spoiled, possible := twin.Of(t, row)
				if !possible && twin.Some {
					t.Skip("the row has nothing to spoil in this way")
				}
				binding, err := loaded(t, spoiled)
				if !twin.Refused(codes(err)) || fault.ClassOf(err) != fault.Rejected {
					t.Errorf("not refused with %s: %v", twin.Code, err)
				}
				if binding != nil && binding.Targets != nil {
					t.Errorf("there are %d targets", len(binding.Targets))
				}
			})
		}
	}
}
