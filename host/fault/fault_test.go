package fault

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestErrorNamesThePlace(t *testing.T) {
	err := New(STOverlap, "it shares %d bytes", 4).In("a.safetensors").Of("w").AtByte(0).Fix("download it again").Wrap(io.EOF)
	want := `ST_OVERLAP: a.safetensors tensor "w" byte 0: it shares 4 bytes: EOF (download it again)`
	if err.Error() != want {
		t.Errorf("%s\nwant\n%s", err, want)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("what it wraps is lost")
	}
	if got := New(ADRank, "r is 0").In("c.json").At("/r").Error(); got != "AD_RANK: c.json#/r: r is 0" {
		t.Error(got)
	}
}

func TestListIsSortedAndFound(t *testing.T) {
	var list List
	if list.Err() != nil {
		t.Error("an empty list is an error")
	}
	list.Add(New(STHole, "two").In("b"))
	list.Add(New(STDup, "one").In("a").Of("y"))
	list.Add(New(STDup, "zero").In("a").Of("x"))
	err := fmt.Errorf("wrapped: %w", list.Err())
	var causes []string
	for _, e := range All(errors.Join(nil, err)) {
		causes = append(causes, e.Cause)
	}
	if got := strings.Join(causes, " "); got != "zero one two" {
		t.Error(got)
	}
}

func TestClassOf(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want Class
	}{
		{"rejected", New(ADRank, ""), Rejected},
		{"operational", New(IORead, ""), Operational},
		{"usage", New(PolicyInvalid, ""), Usage},
		{"inconclusive", New(ModuleFailed, ""), Inconclusive},
		{"unknown errors have no answer", io.EOF, Operational},
		{"the gravest counts", List{New(ADRank, ""), New(IORead, ""), New(UsageFlag, "")}, Operational},
		{"usage before inconclusive", List{New(ModuleFailed, ""), New(UsageFlag, "")}, Usage},
		{"through wrapping", fmt.Errorf("x: %w", List{New(ModuleFailed, ""), New(ADRank, "")}.Err()), Inconclusive},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ClassOf(c.err); got != c.want {
				t.Errorf("class %d, want %d", got, c.want)
			}
		})
	}
}
