package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/registry"
)

// TestAuditCommands lists, verifies and repairs a data directory, and verifies one that somebody edited.
func TestAuditCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r, err := registry.Open(t.Context(), registry.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	base, generation := [32]byte{1}, [32]byte{2}
	a := registry.Activation{Actor: "mal\x1b[31mory", Tenant: "t", Alias: "t/x", Action: registry.ActionActivate, Generation: generation, Base: base, Mode: "merged"}
	if _, err := r.Commit(t.Context(), 0, a); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decide(t.Context(), registry.Decision{Actor: "somebody", Verdict: "admit", Override: "in a hurry"}); err != nil {
		t.Fatal(err)
	}
	expect := func(want int, says string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		got := run(args, &stdout, &stderr)
		if got != want || !strings.Contains(stdout.String()+stderr.String(), says) || strings.Contains(stdout.String(), "\x1b") {
			t.Errorf("tenon %s: exit %d, want %d and %q:\n%s%s", strings.Join(args, " "), got, want, says, stdout.String(), stderr.String())
		}
	}
	expect(exitOK, "rows     3", "audit", "verify", dir) // beside the host
	expect(exitOK, "in a hurry", "audit", "list", "--data", dir)
	expect(exitOK, `mal\x1b[31mory`, "audit", "list", dir)
	expect(exitOK, `"generation": "sha256:02`, "audit", "list", dir, "-o", "json", "--tenant", "t")
	expect(exitOK, "--after 3", "audit", "list", dir, "--limit", "1")
	expect(exitOperational, "REG_LOCKED", "registry", "repair", "--from-store", dir)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	expect(exitUsage, "USAGE", "audit", "verify")
	expect(exitUsage, "USAGE", "audit", "verify", dir, "--data", dir)
	expect(exitUsage, "USAGE", "audit", "list", dir, "--after", "x")
	expect(exitUsage, "USAGE", "registry", "repair")
	expect(exitOperational, "IO_NOT_FOUND", "audit", "verify", t.TempDir())
	log := filepath.Join(dir, registry.LogName)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, bytes.Replace(text, []byte(`"tenant":"t"`), []byte(`"tenant":"u"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(exitDenied, "row      2", "audit", "verify", dir)
	expect(exitDenied, `"sequence": 2`, "audit", "verify", dir, "-o", "json")
	if err := os.Remove(filepath.Join(dir, registry.LogName)); err != nil {
		t.Fatal(err)
	}
	expect(exitOperational, "REG_CORRUPT", "audit", "verify", dir)
	expect(exitOK, fmt.Sprintf("from     %s\nrows     4\naliases  1 live", registry.DatabaseName), "registry", "repair", "--from-store", dir)
	expect(exitOK, "intact", "audit", "verify", dir)
}
