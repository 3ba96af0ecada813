package jinja

import (
	"os"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// clock is the time of the golden files.
func clock() time.Time { return time.Date(2026, 3, 7, 15, 4, 5, 0, time.UTC) }

// snippetVariables are those of testdata/golden.py.
func snippetVariables() map[string]any {
	dict := func(pairs ...any) *Dict {
		d := &Dict{}
		for i := 0; i < len(pairs); i += 2 {
			d.Put(pairs[i].(string), pairs[i+1])
		}
		return d
	}
	return map[string]any{
		"n": nil, "d": dict("k", "v", "n", nil, "b", 1), "l": []any{1, 2, 3},
		"nested": dict("z", []any{1, dict("y", "é")}, "a", dict(), "e", []any{}),
		"msgs":   []any{dict("role", "user", "content", " hi "), dict("role", "assistant", "content", "yo")},
	}
}

// refused are snippets that transformers renders and this package refuses, with what it says.
var refused = map[string]string{
	"{{ '%s-%s' % ('a', 'b') }}": "line 1: string % tuple is not supported",
	"{{ '%d' | format(3) }}":     `line 1: the filter "format" is not supported`,
	"{{ 3.456 | round(1) }}":     `line 1: the filter "round" is not supported`,
	"{{ d.items() }}":            "line 1: a view of a dict cannot be printed: use the filter list",
	"{{ 10 ** 20 }}":             "line 1: a number is too large, or divided by 0",
	"{{ 'A'.isupper() }}":        `line 1: the method "isupper" is not supported`,
	"{% for m in msgs recursive %}{{ m.role }}{% endfor %}": "line 1: recursive loops are not supported",
}

// TestSnippets holds renderings against those of transformers: the same text, or an error where it has one.
func TestSnippets(t *testing.T) {
	data, err := os.ReadFile("../testdata/snippets.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases []struct {
			Source string  `json:"source"`
			Output *string `json:"output"`
			Error  string  `json:"error"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) < 100 {
		t.Fatalf("%d cases", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		template, err := Parse(c.Source)
		var got Text
		if err == nil {
			got, err = template.Render(t.Context(), snippetVariables(), clock)
		}
		switch {
		case err != nil && c.Output == nil:
		case err != nil && refused[c.Source] != "" && err.Error() == refused[c.Source]:
		case err != nil:
			t.Errorf("%s\n fails: %v\n  want %q", c.Source, err, *c.Output)
		case c.Output == nil:
			t.Errorf("%s\n gives %q, where transformers fails with %s", c.Source, got, c.Error)
		case got.String() != *c.Output:
			t.Errorf("%s\n gives %q\n  want %q", c.Source, got, *c.Output)
		}
	}
}
