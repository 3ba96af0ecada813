package moduletest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
)

func TestExplainManifest(t *testing.T) {
	cause := fmt.Errorf("manifest x.json: %w", errors.New("version is \"1\", and must be a semantic version such as 1.0.0"))
	for name, c := range map[string]struct {
		text string
		says []string
	}{
		"no JSON": {`{"id": "x",}`, []string{"line 1", "not JSON"}},
		"a list":  {`[]`, []string{"an object is needed here"}},
		"slips of the pen": {`{
  "id": 7, "neds": ["kernels"], "needs": ["kernel"],
  "params": {"limit": {"defalt": 1, "default": "2"}},
  "limits": {"run_s": 3, "metrics": 1.5}}`, []string{`#/id: line 2: expected text, not "7"`, `#/neds: line 2: key "neds" is not known here (did you mean "needs"?)`,
			`#/needs/0: line 2: capability "kernel" is not known (did you mean "kernels"?)`, `did you mean "default"`, "expected a number",
			`#/limits/run_s: line 4`, `#/limits/metrics: line 4: expected a whole number`}},
		"a form that is right":       {"{\n\"version\": \"1\"}", []string{`x.json#/version: line 2: version is "1", and must be`}},
		"a member that is not there": {"{}", []string{"version is", "add version"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := ExplainManifest("x.json", []byte(c.text), cause)
			if err == nil {
				t.Fatal("nothing is wrong")
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("it does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

// TestManifestKeys: the keys that are known are the members of a manifest.
func TestManifestKeys(t *testing.T) {
	for _, c := range []struct {
		of   any
		keys []string
	}{{abi.Manifest{}, manifestKeys}, {abi.Parameter{}, parameterKeys}, {abi.Limits{}, limitKeys}} {
		var tags []string
		for _, field := range reflect.VisibleFields(reflect.TypeOf(c.of)) {
			tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			tags = append(tags, tag)
		}
		if !slices.Equal(tags, c.keys) {
			t.Errorf("%T has %q, and %q are known", c.of, tags, c.keys)
		}
	}
}
