package conformance

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	var order, dirs []string
	test := func(t T) {
		t.Run("good", func(t T) {
			dirs = append(dirs, t.TempDir())
			t.Cleanup(func() { order = append(order, "first", fmt.Sprint(t.Context().Err() != nil)) })
			t.Cleanup(func() { order = append(order, "second") })
			t.Logf("of no interest")
		})
		t.Run("bad", func(t T) {
			t.Errorf("one")
			if !t.Run("part", func(t T) { t.Fatalf("two of %s", t.Name()) }) && t.Run("other part", func(t T) {}) {
				t.Errorf("three")
			}
			if !t.Failed() {
				t.Errorf("a part that fails fails its case")
			}
		})
		t.Run("absent", func(t T) { t.Skipf("not here") })
		t.Run("panics", func(t T) { panic("help") })
		t.Run("slow", func(t T) { <-t.Context().Done() })
		t.Run("left out", func(T) { order = append(order, "left out") })
	}
	var got []string
	ok := Run(t.Context(), Options{Limit: 200 * time.Millisecond, Only: func(name string) bool { return name != "left out" }, Heard: func(r Result) {
		words := strings.Join(r.Words, "; ")
		if before, _, cut := strings.Cut(words, "\n"); cut {
			words = before
		}
		got = append(got, fmt.Sprintf("%s %s: %s", r.Outcome, r.Name, words))
	}}, test)
	want := []string{
		"ok good: ", "failed bad: one; part: two of bad/part; three", "skipped absent: not here", "failed panics: panic: help",
		"failed slow: it took longer than 200ms",
	}
	if ok || !slices.Equal(got, want) {
		t.Errorf("%v\n%q, want\n%q", ok, got, want)
	}
	if !slices.Equal(order, []string{"second", "first", "true"}) {
		t.Errorf("cleanups: %q", order)
	}
	if _, err := os.Stat(dirs[0]); !os.IsNotExist(err) {
		t.Errorf("the case's directory: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if Run(canceled, Options{Limit: time.Minute, Heard: func(r Result) { t.Errorf("heard %v", r) }}, func(t T) {
		if !t.Run("case", func(T) {}) {
			t.Errorf("it was not begun")
		}
	}) {
		t.Error("a suite that was not run has passed")
	}
}
