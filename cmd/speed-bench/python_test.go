package main

import (
	"strings"
	"testing"
)

func TestNoPython(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for given, want := range map[string]string{"": "there is no python3", "none": "-python none", "/nowhere/python": "/nowhere/python does not have them"} {
		python, why := findPython(t.Context(), given)
		if python != "" || !strings.Contains(why, want) {
			t.Errorf("%q: got %q because %q, want none because %q", given, python, why, want)
		}
	}
}

func TestLast(t *testing.T) {
	if got := last([]byte("one\ntwo\n"), nil); got != "two" {
		t.Errorf("got %q", got)
	}
	if got := last(nil, errFake("ended")); got != "ended" {
		t.Errorf("got %q", got)
	}
}

type errFake string

func (e errFake) Error() string { return string(e) }
