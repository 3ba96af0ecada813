package report

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
	}{
		{"short", "a b", "- a b"},
		{"at spaces", "one two three four five", "- one two three four|  five"},
		{"a path longer than a line", "read adapters/restaurant/x", "- read|  adapters/restaurant/|  x"},
		{"a path that fits", "see it in a/b/c/dd.wasm", "- see it in|  a/b/c/dd.wasm"},
		{"below zero", "the cosine goes to -0.5", "- the cosine goes to|  -0.5"},
		{"a flag", "write the flag --twice", "- write the flag|  --twice"},
		{"two spaces", "Title  and a note of its", "- Title  and a note of|  its"},
		{"no end", strings.Repeat("x", 40), "- xxxxxxxxxxxxxxxxxxxx|  xxxxxxxxxxxxxxxxxxxx"},
		{"lines", "one\ntwo", "- one|  two"},
		{"nothing", "", "- "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(Wrap("- ", c.text, 22), "|"); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// Rules that only say that there are findings come after them.
func TestCountingComesLast(t *testing.T) {
	findings := []Finding{{Severity: DenySeverity, Module: "policy", Code: "DIAGNOSTIC_DENIES"}, {Severity: DenySeverity, Module: "policy", Code: "TOO_BIG"},
		{Severity: DenySeverity, Module: "watermark", Code: "DIAGNOSTIC_DENIES"}, {Severity: Warn, Module: "policy", Code: "DIAGNOSTIC_WARNS"},
		{Severity: Warn, Module: "policy", Code: "LARGE"}, {Severity: Info, Code: "NOTE"}}
	var got []string
	for _, r := range reasons(findings) {
		got = append(got, r.Module+" "+r.Code)
	}
	want := "policy TOO_BIG, watermark DIAGNOSTIC_DENIES, policy DIAGNOSTIC_DENIES, policy LARGE, policy DIAGNOSTIC_WARNS,  NOTE"
	if strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}
