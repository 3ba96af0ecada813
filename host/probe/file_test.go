package probe

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

const valid = `schema: tenon.probe/v1
name: restaurant
texts:
  - {id: riverside, role: task, prompt: "name : Blue Spice ||", text: " Blue Spice is by the river ."}
  - {id: english, role: general, text: "The meaning of this function is its name."}
completions:
  - {id: exact, prompt: "a", equals: " b "}
  - {id: pattern, prompt: "a", maxTokens: 7, matches: "^b+$"}
`

func TestParse(t *testing.T) {
	f, err := Parse("p.yaml", []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	if f.Name != "restaurant" || f.Digest != sha256.Sum256([]byte(valid)) || len(f.Texts) != 2 || len(f.Completions) != 2 {
		t.Errorf("%+v", f)
	}
	if got, want := f.Texts[0], (Text{ID: "riverside", Role: Task, Prompt: "name : Blue Spice ||", Text: " Blue Spice is by the river ."}); got != want {
		t.Errorf("text %+v, want %+v", got, want)
	}
	exact, pattern := f.Completions[0], f.Completions[1]
	if exact.MaxTokens != defaultTokens || exact.expect() != "b" || !exact.holds("b") || exact.holds("bb") {
		t.Errorf("exact: %+v", exact)
	}
	if pattern.MaxTokens != 7 || pattern.expect() != "/^b+$/" || !pattern.holds("bb") || pattern.holds("a") {
		t.Errorf("pattern: %+v", pattern)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string // "pointer: part of cause or remedy", one for each problem
	}{
		{"empty", "", []string{": empty"}},
		{"not YAML", "a: [", []string{": not YAML"}},
		{"a list", "- a", []string{": a mapping"}},
		{"two documents", valid + "---\na: b\n", []string{": goes on"}},
		{"nothing to ask", "schema: tenon.probe/v1\nname: x\n", []string{": no texts and no completions"}},
		{"empty lists", "schema: tenon.probe/v1\nname: x\ntexts: []\n", []string{": the lists are empty"}},
		{"everything at once", `schema: tenon.probe/v2
nam: x
texts:
  - {id: a, role: tsk, text: x, txet: y}
  - {id: a, role: general}
  - {id: "b c", text: z}
  - 7
completions:
  - {id: d, prompt: p, equals: a, matches: b}
  - {id: e, prompt: p, matches: "(?=a)", maxTokens: 100000}
  - {id: f, maxTokens: 0, equals: [a]}
`, []string{"/schema: tenon.probe/v1", `/nam: did you mean "name"`, "/name: it has no name", `/texts/0/role: did you mean "task"`, `/texts/0/txet: did you mean "text"`,
			"/texts/1/id: another one", "/texts/1/text: it has no text", `/texts/2/id: not a name`, "/texts/2/role: it has no role", "/texts/3: expected a mapping",
			"/texts/3/id: no name", "/texts/3/role: no role", "/texts/3/text: no text", "/completions/0: one of equals and matches",
			"/completions/1/matches: not a pattern", "/completions/1/maxTokens: the limit is 1024", "/completions/2/equals: expected text",
			"/completions/2/maxTokens: above zero", "/completions/2/prompt: no prompt"}},
		{"keys twice", "schema: tenon.probe/v1\nname: x\nname: y\ntexts: [{id: a, role: task, text: t}]", []string{"/name: twice"}},
		{"alias", "schema: tenon.probe/v1\nname: &n x\ntexts: [{id: *n, role: task, text: t}]", []string{"/texts/0/id: an alias"}},
		{"too many", "schema: tenon.probe/v1\nname: x\ntexts: [" + strings.Repeat("{id: a, role: task, text: t},", 300) + "]", []string{"/texts: 300 items"}},
		{"too long a text", "schema: tenon.probe/v1\nname: x\ntexts: [{id: a, role: task, text: " + strings.Repeat("x", maxTextBytes+1) + "}]",
			[]string{"/texts/0/text: the limit is"}},
		{"too large", strings.Repeat("#", maxFile+1), []string{": larger than"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("p.yaml", []byte(c.text))
			found := fault.All(err)
			if len(found) != len(c.want) {
				t.Fatalf("%d problems, want %d:\n%v", len(found), len(c.want), err)
			}
			for _, want := range c.want {
				pointer, part, _ := strings.Cut(want, ": ")
				ok := false
				for _, e := range found {
					ok = ok || e.Pointer == pointer && strings.Contains(e.Cause+" "+e.Remedy, part)
				}
				if !ok {
					t.Errorf("no problem %q in\n%v", want, err)
				}
			}
			if class := fault.ClassOf(err); class != fault.Usage {
				t.Errorf("class %d, want usage", class)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "nowhere"), "/dev/zero"} {
		if _, err := Load(path); fault.ClassOf(err) != fault.Usage || len(fault.All(err)) != 1 {
			t.Errorf("%s: %v", path, err)
		}
	}
	path := filepath.Join(dir, "p.yaml")
	if err := os.WriteFile(path, []byte(valid), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Load(path); err != nil || f.Path != path {
		t.Errorf("%+v, %v", f, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte("schema: tenon.probe/v1\nname: x\ncompletions: [{id: a, prompt: p, matches: '('}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse("p.yaml", text)
		if (file == nil) == (err == nil) {
			t.Errorf("%v and %v", file, err)
		}
		if err != nil && fault.ClassOf(err) != fault.Usage {
			t.Errorf("class of %v", err)
		}
	})
}

func TestReadTexts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "texts")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("name : A||A is open . \n\nplain text\r\nname : A ||  A is shut .\n||all of it")
	texts, err := ReadTexts(path)
	want := []Text{
		{ID: "line 1", Prompt: "name : A ||", Text: " A is open ."}, {ID: "line 3", Text: "plain text"},
		{ID: "line 4", Prompt: "name : A ||", Text: " A is shut ."}, {ID: "line 5", Prompt: "||", Text: " all of it"},
	}
	if err != nil || len(texts) != len(want) {
		t.Fatalf("%+v, %v", texts, err)
	}
	for i := range want {
		if texts[i] != want[i] {
			t.Errorf("%+v, want %+v", texts[i], want[i])
		}
	}
	prompts, err := ReadPrompts(path)
	if err != nil || strings.Join(prompts, "\n") != "name : A ||\nplain text\n||" {
		t.Errorf("%q, %v", prompts, err)
	}
	for _, bad := range []string{"", "\n \n", "a\n\xff\n", strings.Repeat("x", maxLine+1)} {
		write(bad)
		if _, err := ReadTexts(path); fault.ClassOf(err) != fault.Usage {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}
