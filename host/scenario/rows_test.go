package scenario

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// row is one bad thing that can happen, what the specification promises for it, what becomes of it here, and the tests that hold that.
type row struct {
	ID       string   `json:"id"`
	Scenario string   `json:"scenario"`
	Promise  string   `json:"promise"`
	Outcome  string   `json:"outcome"`
	Tests    []string `json:"tests"` // "package: TestName"
}

// absent begins the outcome of a row that has no test because there is nothing to test.
const absent = "Not in this program yet: "

// required is how many rows each group has. Of the other groups there may be some.
var required = map[string]int{"G": 16, "H": 24}

// Every row of the groups about backends and about crashes is held by tests that exist, or says why it is not.
func TestRows(t *testing.T) {
	text, err := os.ReadFile("testdata/rows.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	if err := json.Unmarshal(text, &rows, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]row{}
	existing := map[string][]string{} // tests by package
	for _, r := range rows {
		if _, twice := seen[r.ID]; twice {
			t.Errorf("%s is there twice", r.ID)
		}
		seen[r.ID] = r
		if r.Scenario == "" || r.Promise == "" || !strings.HasSuffix(r.Outcome, ".") {
			t.Errorf("%s lacks its scenario, promise or outcome: %+v", r.ID, r)
		}
		if (len(r.Tests) == 0) != strings.HasPrefix(r.Outcome, absent) {
			t.Errorf("%s has %d tests, and its outcome is %q", r.ID, len(r.Tests), r.Outcome)
		}
		for i, test := range r.Tests {
			dir, name, _ := strings.Cut(test, ": ")
			if existing[dir] == nil {
				existing[dir] = testsOf(t, dir)
			}
			if !slices.Contains(existing[dir], name) {
				t.Errorf("%s: package %s has no %s", r.ID, dir, name)
			}
			if slices.Contains(r.Tests[:i], test) {
				t.Errorf("%s names %s twice", r.ID, test)
			}
		}
	}
	for group, count := range required {
		for n := range count {
			if id := fmt.Sprintf("%s%02d", group, n+1); seen[id].ID == "" {
				t.Errorf("%s is missing", id)
			}
		}
	}
}

// The rows say what the specification says, where that is at hand.
func TestRowsAreTheSpecification(t *testing.T) {
	spec, err := os.ReadFile("../../../shared/specs/bad-inputs.md")
	if err != nil {
		t.Skipf("the specification is not here: %v", err)
	}
	text, err := os.ReadFile("testdata/rows.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	counted := map[string]int{}
	specified := map[string][]string{}
	for line := range bytes.Lines(spec) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(string(line)), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) == 3 && len(cells[0]) == 3 {
			specified[cells[0]] = cells[1:]
			counted[cells[0][:1]]++
		}
	}
	for group, count := range required {
		if counted[group] != count {
			t.Errorf("the specification has %d rows of group %s, the list wants %d", counted[group], group, count)
		}
	}
	for _, r := range rows {
		if !slices.Equal(specified[r.ID], []string{r.Scenario, r.Promise}) {
			t.Errorf("%s is %q and %q, specified is %q", r.ID, r.Scenario, r.Promise, specified[r.ID])
		}
	}
}

// testsOf are the tests in a package's directory, as it is written from the root of the repository.
func testsOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range parsed.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}
