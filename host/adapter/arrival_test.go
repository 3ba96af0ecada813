package adapter

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// arrival is what an input of the corpus must get.
type arrival struct {
	ID          string     `json:"id"`
	Input       string     `json:"input"`
	Code        fault.Code `json:"code"`        // by which it is refused
	Note        fault.Code `json:"note"`        // of a warning, where it is not
	Place       string     `json:"place"`       // the end of the file that the refusal names
	Says        string     `json:"says"`        // in the refusal
	Operational bool       `json:"operational"` // it has no answer, rather than no for one
}

// TestArrivals opens every input of testdata/corpus/C, which arrivals makes: FIFOs, sockets and bombs cannot be kept as files.
func TestArrivals(t *testing.T) {
	text, err := os.ReadFile("testdata/corpus/C/expect.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []arrival
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	inputs := arrivals(t)
	for _, row := range rows {
		make, known := inputs[row.Input]
		if !known {
			t.Errorf("nobody makes %q", row.Input)
			continue
		}
		delete(inputs, row.Input)
		t.Run(row.ID+" "+row.Input, func(t *testing.T) { row.hold(t, make(t)) })
	}
	for input := range inputs {
		t.Errorf("nothing is expected of %q", input)
	}
}

// hold opens an input and compares what it gets.
func (row arrival) hold(t *testing.T, ref string) {
	a, err := Open(ref)
	if row.Note != "" {
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if len(a.Notes) != 1 || a.Notes[0].Code != row.Note || !strings.HasSuffix(a.Notes[0].File, row.Place) {
			t.Errorf("notes %v", a.Notes)
		}
		return
	}
	if a != nil {
		a.Close()
		t.Fatal("there is an adapter")
	}
	for _, e := range fault.All(err) {
		if e.Code == row.Code && e.Remedy != "" && strings.HasSuffix(e.File, row.Place) && strings.Contains(e.Error(), row.Says) {
			if operational := fault.ClassOf(err) == fault.Operational; operational != row.Operational {
				t.Errorf("operational: %t", operational)
			}
			return
		}
	}
	t.Errorf("got %v, want %s in %s that says %q and what to do", err, row.Code, row.Place, row.Says)
}
