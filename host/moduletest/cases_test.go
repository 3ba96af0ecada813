package moduletest

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

const valid = `{
  "schema": "tenon.cases/v1",
  "cases": [
    {"name": "numbers",
     "adapter": {
       "targets": [
         {"name": "b", "a": [[1, 2]], "b": [[3], ["NaN"]], "base": [[1, 2], [3, 4]], "scale": 2, "base_dtype": "BF16", "fan_in_fan_out": true},
         {"name": "a\u00e9\ud83d\ude00", "a": [[1e2], ["-Inf"]], "b": [[-0.5, 0]], "alpha": 4, "factor_dtype": "F16"}],
       "peers": [{"name": "sha256:1", "targets": [{"name": "b", "a": [[1, 1]], "b": [[1], [1]]}]}]},
     "params": {"limit": 3}, "grant": ["base"],
     "expect": {"status": "guest_error", "only_these_findings": true,
       "metrics": [{"target": "b", "peer": "sha256:1", "name": "m", "value": "+Inf"}, {"name": "n", "value": 1, "tolerance": 1e-3}],
       "findings": [{"target": "b", "severity": "deny", "code": "CODE", "value": 2}]}},
    {"name": "files", "adapter_dir": "adapter", "base_dir": "../base", "peer_dirs": ["/p"], "expect": {}}
  ]
}`

func TestParse(t *testing.T) {
	c, err := Parse(filepath.Join("folder", "x.cases.json"), []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	numbers, files := c.Cases[0], c.Cases[1]
	first, second := numbers.Adapter.Targets[0], numbers.Adapter.Targets[1]
	if first.Name != "aé😀" || first.Scale != 2 || first.Alpha != 4 || first.FactorDType != tensor.F16 || !math.IsInf(first.A.Values[1], -1) {
		t.Errorf("%+v", first)
	}
	if second.Scale != 2 || second.Alpha != 2 || second.BaseDType != tensor.BF16 || !second.FanInFanOut || !math.IsNaN(second.B.Values[1]) {
		t.Errorf("%+v", second)
	}
	if e := numbers.Expect; e.Status != sandbox.GuestError || e.Metrics[0].Tolerance != DefaultTolerance || e.Metrics[1].Tolerance != 1e-3 ||
		e.Findings[0].Severity != abi.Deny || *e.Findings[0].Value != 2 || !e.OnlyTheseFindings {
		t.Errorf("%+v", e)
	}
	if files.AdapterDir != filepath.Join("folder", "adapter") || files.BaseDir != "base" || files.PeerDirs[0] != "/p" || files.Grant != nil {
		t.Errorf("%+v", files)
	}
}

// TestParseTellsAll: one reading tells everything that is wrong, with its line and what to do.
func TestParseTellsAll(t *testing.T) {
	_, err := Parse("x.cases.json", []byte(`{
  "schema": "tenon.cases/v2",
  "cases": [
    {"name": "one", "adapter": {"targets": [
      {"name": "w", "a": [[1, 2], [3]], "b": [[1]]},
      {"name": "w", "a": [[1, 2]], "b": [[1, 2]], "base_dtype": "F12"},
      {"name": "v", "a": [[1, "nan"]], "b": [[1]], "base": [[1]], "scale": 1e999}]},
     "expect": {"metrics": [{"target": "x", "name": "No", "value": 1, "tolerance": -1}], "findings": [{"severity": "warm", "code": "X"}]}},
    {"name": "one", "adaptor": {}, "expect": {"status": "okay"}, "params": {"a": true}, "grant": ["disk"]},
    {"name": "", "adapter": {}, "adapter_dir": "d", "name": "twice"},
    {"name": "nothing"},
    {"name": "typo", "adapter": {"targets": [{"nmae": "w"}], "peers": [{"nme": "p"}]},
     "expect": {"metrics": [{"nme": "m", "value": 1}, {"name": "m", "vlue": 1}], "findings": [{"code": "CODE", "severty": "warn"}]}},
    7
  ]
}`))
	if err == nil {
		t.Fatal("no problem was found")
	}
	for _, want := range []string{`schema "tenon.cases/v2" is not read`, "line 5: a row of 1 numbers in a matrix whose first row has 2",
		`line 6: two targets are called "w"`, "line 6: a is 1 x 2 and b is 1 x 2", `dtype "F12" is not known`, "did you mean \"F32\"", `not "nan"`,
		"base is 1 x 1 and b times a is 1 x 2", "1e999 is beyond the range", `no target "x"`, "not a metric name", "a tolerance is 0 or more",
		`did you mean "warn"`, `key "adaptor" is not known here`, `did you mean "adapter"`, `two cases are called "one"`, "a case needs an adapter",
		`status "okay" is not known`, "expected a number, not \"true\"", `capability "disk"`, "adapter and adapter_dir exclude each other",
		`key "name" is written twice`, "a case needs to expect something", "expected a mapping", "not a finding's code"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	// What seems to be missing beside a key that is misspelled is not told as well.
	for e := range strings.SplitSeq(err.Error(), "\n") {
		if beside := strings.Contains(e, "/cases/4") || strings.Contains(e, "/cases/1:"); beside && !strings.Contains(e, "did you mean") {
			t.Errorf("beside a misspelled key it says %q", e)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	if fault.ClassOf(err) != fault.Usage {
		t.Errorf("class %v", fault.ClassOf(err))
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":     {"", "line 1: the file ends too early"},
		"not JSON":  {"{\n \"schema\": tenon", "line 2: "},
		"comment":   {"{} // so", "not JSON"},
		"NaN":       {`{"cases": [NaN]}`, "not JSON"},
		"a list":    {"[]", "an object is needed"},
		"no cases":  {`{"schema": "tenon.cases/v1"}`, "cases is missing"},
		"two":       {`{} {}`, "something follows"},
		"deep":      {strings.Repeat("[", 100), "nested deeper than 16"},
		"not UTF-8": {"{\"schema\": \"\xff\"}", "not JSON"},
		"huge":      {strings.Repeat(" ", maxFile+1), "larger than the limit"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse("x.cases.json", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.json")); fault.ClassOf(err) != fault.Operational {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Load(t.TempDir()); fault.ClassOf(err) != fault.Operational {
		t.Errorf("a folder: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte(`{"schema": "tenon.cases/v1", "cases": [{"adapter": {"targets": [{"a": [[]], "b": []}]}}]}`))
	f.Add([]byte(`{"cases": [{"expect": {"findings": [{}], "metrics": [{}]}}, null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("x.cases.json", text)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if err != nil {
			if fault.ClassOf(err) != fault.Usage {
				t.Errorf("class of %v", err)
			}
			return
		}
		for _, one := range c.Cases {
			if one.Name == "" || (one.Adapter == nil) == (one.AdapterDir == "" && one.BaseDir == "") {
				t.Errorf("%+v", one)
			}
			if one.Adapter == nil {
				continue
			}
			for _, target := range one.Adapter.Targets {
				if target.A.Rows != target.B.Cols || len(target.A.Values) != target.A.Rows*target.A.Cols || !target.A.given() {
					t.Errorf("%+v", target)
				}
			}
		}
	})
}
