package main

import (
	"bytes"
	"strconv"
	"testing"
)

// TestArchive reads an archive back as Linux does.
func TestArchive(t *testing.T) {
	var a archive
	a.directory("tests")
	a.file("tests/one", []byte("content"))
	a.file("empty", nil)
	rest := a.end()
	for _, want := range []struct {
		name, content string
		mode          uint64
	}{{"tests", "", 0o040755}, {"tests/one", "content", 0o100755}, {"empty", "", 0o100755}, {"TRAILER!!!", "", 0}} {
		field := func(i int) int {
			n, err := strconv.ParseUint(string(rest[6+8*i:][:8]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		const header = 110
		from := (header + field(11) + 3) / 4 * 4
		content := rest[from : from+field(6)]
		if !bytes.HasPrefix(rest, []byte("070701")) || string(rest[header:header+field(11)]) != want.name+"\x00" ||
			string(content) != want.content || field(1) != int(want.mode) {
			t.Fatalf("%q, want %+v", rest, want)
		}
		rest = rest[(from+field(6)+3)/4*4:]
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes after the end", len(rest))
	}
}

func TestExitStatus(t *testing.T) {
	for output, want := range map[string]string{
		"": "",
		"ok\r\n\r\nemulated machine: exit status 0\r\n":   "0",
		"FAIL\r\n\r\nemulated machine: exit status 1\r\n": "1",
		"ok\r\n\r\nemulated machine: exit status 0":       "",
	} {
		if got, found := exitStatus([]byte(output)); found != (want != "") || found && got != want {
			t.Errorf("%q: %q, %v, want %q", output, got, found, want)
		}
	}
}
