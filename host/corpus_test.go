package host

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

var updateCorpus = flag.Bool("update", false, "write what the inputs of testdata/corpus get into their expect.json")

// expectation is the expect.json of one input of the corpus: which row of bad-inputs.md it is of, what that promises, and what the input gets.
type expectation struct {
	Row     string         `json:"row"`
	Promise string         `json:"promise"`
	Verdict report.Verdict `json:"verdict,omitempty"`
	Error   fault.Code     `json:"error,omitempty"` // in place of a verdict: the question could not be answered
	Denied  []string       `json:"denied"`          // the codes of the findings that deny, sorted, each once
	Warned  []string       `json:"warned"`          // and of those that warn
	Says    string         `json:"says,omitempty"`  // the first finding that denies, or else that warns: its place and cause
}

// Every bad input of testdata/corpus gets what its expect.json says from the whole flow: open, bind, diagnose, decide. Whatever denies or warns says
// what to do about it.
func TestCorpus(t *testing.T) {
	if raceRun {
		t.Skip("the same inputs run without the race detector")
	}
	h, b := newHost(t, Options{}), openBase(t, "testdata/corpus/base")
	folders, err := filepath.Glob("testdata/corpus/*/adapter")
	if err != nil || len(folders) < 100 {
		t.Fatalf("%d inputs, %v", len(folders), err)
	}
	for _, folder := range folders {
		name := filepath.Base(filepath.Dir(folder))
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(filepath.Dir(folder), "expect.json")
			want := readExpectation(t, path, name)
			got := expectation{Row: want.Row, Promise: want.Promise, Denied: []string{}, Warned: []string{}}
			checked, err := h.Check(t.Context(), b, folder, nil)
			if err != nil {
				var f *fault.Error
				if !errors.As(err, &f) {
					t.Fatalf("an error without a code: %v", err)
				}
				got.Error, got.Says = f.Code, f.Error()
			} else {
				got.describe(t, checked.Report)
				if err := checked.Close(); err != nil {
					t.Error(err)
				}
			}
			if *updateCorpus {
				writeExpectation(t, path, got)
				return
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// describe fills in what a report says. The same input gives the same words everywhere, but for where it lies.
func (e *expectation) describe(t *testing.T, r *report.Report) {
	e.Verdict = r.Verdict
	for _, f := range r.Findings {
		list := &e.Warned
		switch f.Severity {
		case report.DenySeverity:
			list = &e.Denied
		case report.Info:
			continue
		}
		if f.Hint == "" && f.Severity == report.DenySeverity {
			t.Errorf("%s has no remedy", f.Code)
		}
		if !slices.Contains(*list, f.Code) {
			*list = append(*list, f.Code)
		}
		if e.Says == "" || list == &e.Denied && len(e.Denied) == 1 && e.Denied[0] == f.Code && len(e.Warned) > 0 {
			e.Says = f.Message
		}
	}
	slices.Sort(e.Denied)
	slices.Sort(e.Warned)
}

func readExpectation(t *testing.T, path, name string) (e expectation) {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && *updateCorpus {
		return expectation{Row: name[:3], Promise: promises(t)[name[:3]]}
	}
	if err == nil {
		err = json.Unmarshal(text, &e, json.RejectUnknownMembers(true))
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(name, e.Row+"-") {
		t.Errorf("%s says that it is of row %s", path, e.Row)
	}
	return e
}

func writeExpectation(t *testing.T, path string, e expectation) {
	t.Helper()
	text, err := json.Marshal(e, jsontext.WithIndent("  "), jsontext.EscapeForHTML(false))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// elsewhere is a row that is held by tests without an input in the corpus: it is about more than the bytes of an adapter, or cannot be stored.
type elsewhere struct {
	Row   string   `json:"row"`
	Why   string   `json:"why"`
	Tests []string `json:"tests"` // "package: TestName"
}

// Every row of the groups A, B and C has an input or a test that exists, and says what the specification says.
func TestCorpusIsComplete(t *testing.T) {
	text, err := os.ReadFile("testdata/corpus/elsewhere.json")
	if err != nil {
		t.Fatal(err)
	}
	var others []elsewhere
	if err := json.Unmarshal(text, &others, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	held := map[string]string{} // row: promise
	folders, _ := filepath.Glob("testdata/corpus/*/expect.json")
	for _, path := range folders {
		e := readExpectation(t, path, filepath.Base(filepath.Dir(path)))
		held[e.Row] = e.Promise
	}
	for _, other := range others {
		if len(other.Tests) == 0 || other.Why == "" {
			t.Errorf("%s lacks its reason or its tests", other.Row)
		}
		for _, test := range other.Tests {
			dir, name, _ := strings.Cut(test, ": ")
			if !hasTest(t, filepath.Join("..", dir), name) {
				t.Errorf("%s: package %s has no %s", other.Row, dir, name)
			}
		}
		if _, both := held[other.Row]; !both {
			held[other.Row] = ""
		}
	}
	for group, rows := range map[string]int{"A": 38, "B": 30, "C": 15} {
		for n := range rows {
			if row := fmt.Sprintf("%s%02d", group, n+1); !hasKey(held, row) {
				t.Errorf("%s has neither an input nor a test", row)
			}
		}
	}
	promised := promises(t)
	if promised == nil {
		t.Log("the specification is not here")
		return
	}
	for row, promise := range held {
		if promise != "" && promise != promised[row] {
			t.Errorf("%s promises %q, its inputs say %q", row, promised[row], promise)
		}
	}
}

func hasKey(m map[string]string, key string) bool { _, ok := m[key]; return ok }

// hasTest reports whether a package has a test of that name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("\nfunc "+name+"(")) {
			return true
		}
	}
	return false
}

// promises are the last columns of the specification's rows; nil where it is not at hand.
func promises(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "shared", "specs", "bad-inputs.md"))
	if err != nil {
		return nil
	}
	all := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^\| ([ABC][0-9]+)\*? \|.*\| ([^|]*) \|$`).FindAllStringSubmatch(string(text), -1) {
		all[line[1]] = line[2]
	}
	return all
}
