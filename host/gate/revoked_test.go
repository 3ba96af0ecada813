package gate

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
	"github.com/tenon-ml/tenon/wasm/worker"
)

func TestParseRevoked(t *testing.T) {
	a, b := strings.Repeat("a", 64), strings.Repeat("0b", 32)
	for _, c := range []struct {
		name, text string
		want       string // digests in order of their first digit with their reasons, or what the error says after "!"
	}{
		{"plain", a + "\n", "a="},
		{"with a prefix and a reason", "sha256:" + a + " # it reads too much\n" + b + "\t#  \n", "0= a=it reads too much"},
		{"remarks", "# nothing is revoked\n\n   \n", ""},
		{"lines of Windows", a + " # x\r\n", "a=x"},
		{"twice", a + " # first\n" + a + " # second\n", "a=first"},
		{"a reason with a #", a + " # see #12\n", "a=see #12"},
		{"empty", "", "!empty"},
		{"no end", a, "!does not end"},
		{"half a digest", a + "\n" + b[:40] + "\n", "!line 2"},
		{"capitals", strings.ToUpper(a) + "\n", "!line 1"},
		{"another hash", "sha512:" + a + a + "\n", "!line 1"},
		{"a name", "hygiene\n", "!line 1"},
		{"two on a line", a + " " + b + "\n", "!line 1"},
		{"a path", "sha256:../../etc/passwd\n", "!line 1"},
		{"not UTF-8", a + " # \xff\n", "!UTF-8"},
		{"a long reason", a + " # " + strings.Repeat("x", 1025) + "\n", "!1025 bytes"},
		{"a page of a proxy", "<html>\n", "!line 1"},
		{"too large", strings.Repeat("#\n", 3<<20), "!larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := parseRevoked("list", []byte(c.text))
			if says, bad := strings.CutPrefix(c.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), says) || fault.ClassOf(err) != fault.Inconclusive {
					t.Errorf("error is %v, want it to say %q", err, says)
				}
				return
			}
			var got []string
			for _, sum := range []string{b, a} {
				if reason, listed := list[[32]byte(must(hex.DecodeString(sum)))]; listed {
					got = append(got, sum[:1]+"="+reason)
				}
			}
			if err != nil || strings.Join(got, " ") != c.want || len(got) != len(list) {
				t.Errorf("%v %v, want %s", got, err, c.want)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// FuzzRevoked reads anything. A line added to what is accepted is read as well, and takes nothing away.
func FuzzRevoked(f *testing.F) {
	f.Add([]byte("sha256:" + strings.Repeat("a", 64) + " # reason\n# remark\n"))
	f.Add([]byte("\r\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseRevoked("list", text)
		if err != nil {
			return
		}
		more, err := parseRevoked("list", append(text[:len(text):len(text)], strings.Repeat("c", 64)+"\n"...))
		if err != nil && len(text) < maxRevoked-65 {
			t.Fatal(err)
		}
		for digest := range list {
			if _, kept := more[digest]; !kept && err == nil {
				t.Fatalf("%x is lost", digest)
			}
		}
	})
}

// A module whose guest or manifest is listed does not run, whoever made it.
func TestRevoked(t *testing.T) {
	alpha := module("alpha", 0)
	alpha.ManifestSHA256 = [32]byte{7}
	for _, c := range []struct {
		name, list string // "-" is no file
		code       string // "": admitted
		says       string
	}{
		{"nothing", "# nothing\n", "", ""},
		{"another", strings.Repeat("a", 64) + "\n", "", ""},
		{"the guest", fmt.Sprintf("sha256:%x # leaks \x1b[2J weights\n", alpha.SHA256), "MODULE_REVOKED", "its module is revoked in LIST: leaks \x1b[2J weights"},
		{"the manifest", fmt.Sprintf("%x\n", alpha.ManifestSHA256), "MODULE_REVOKED", "its manifest is revoked in LIST"},
		{"no list", "-", "REVOKED_LIST", "there is no such file"},
		{"an empty list", "", "REVOKED_LIST", "empty"},
		{"garbage", "<html>\n", "REVOKED_LIST", "line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := filepath.Join(t.TempDir(), "revoked.txt")
			if c.list != "-" {
				writeFile(t, list, []byte(c.list))
			}
			for _, byPolicy := range []bool{false, true} {
				runner := &fakeRunner{}
				g := newGate(t, policyOf("", "id: alpha"), runner)
				g.Modules[0].ManifestSHA256 = alpha.ManifestSHA256
				if g.Revoked = list; byPolicy {
					g.Revoked, g.Policy.Revoked = "", list
				}
				r := checked(t, g)
				if c.code == "" {
					if r.Verdict != report.Admit {
						t.Errorf("%s %+v", r.Verdict, r.Findings)
					}
					continue
				}
				if len(runner.jobs) != 0 || r.Modules[0].Status != "denied" {
					t.Errorf("%d ran, %+v", len(runner.jobs), r.Modules)
				}
				says := strings.ReplaceAll(c.says, "LIST", list)
				if r.Verdict != report.Inconclusive || denials(r) != c.code || !strings.Contains(r.Findings[0].Message, says) {
					t.Errorf("%s %+v, want %s that says %q", r.Verdict, r.Findings, c.code, says)
				}
			}
		})
	}
}

// The list is read anew for each check, and what it is not any more does not count.
func TestRevokedIsReadAnew(t *testing.T) {
	list := filepath.Join(t.TempDir(), "revoked.txt")
	g := newGate(t, policyOf("", "id: alpha"), &fakeRunner{})
	g.Revoked = list
	line := fmt.Sprintf("%x # why\n", g.Modules[0].SHA256)
	for i, step := range []struct {
		text string
		want report.Verdict
	}{{"# none\n", report.Admit}, {line, report.Inconclusive}, {line[:30], report.Inconclusive}, {"# none\n", report.Admit}} {
		writeFile(t, list, []byte(step.text))
		if r := checked(t, g); r.Verdict != step.want {
			t.Errorf("step %d: %s %+v", i, r.Verdict, r.Findings)
		}
	}
	if err := os.Chmod(list, 0); err != nil {
		t.Fatal(err)
	}
	if r := checked(t, g); r.Verdict != report.Inconclusive && os.Getuid() != 0 {
		t.Errorf("unreadable: %s", r.Verdict)
	}
}

// revokeDuring revokes a module as soon as it runs: what the list becomes is a function of the job.
type revokeDuring struct {
	Runner
	write func(job worker.Job)
}

func (r *revokeDuring) Run(ctx context.Context, job worker.Job) (sandbox.Result, string) {
	r.write(job)
	return r.Runner.Run(ctx, job)
}

// A run in flight ends when its module is revoked, not at its deadline, which is a day away. So does one whose list is gone.
func TestRevokedInFlight(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(list string, job worker.Job) error
		code   string
	}{
		{"listed", func(list string, job worker.Job) error {
			return os.WriteFile(list, fmt.Appendf(nil, "%x # it spins\n", job.SHA256), 0o600)
		}, "MODULE_REVOKED"},
		{"listed in a new file", func(list string, job worker.Job) error {
			next := list + ".new"
			return firstError(os.WriteFile(next, fmt.Appendf(nil, "%x # it spins\n", job.SHA256), 0o600), os.Rename(next, list))
		}, "MODULE_REVOKED"},
		{"the list is gone", func(list string, _ worker.Job) error { return os.Remove(list) }, "REVOKED_LIST"},
		{"the list is garbage", func(list string, _ worker.Job) error { return os.WriteFile(list, []byte("garbage\n"), 0o600) }, "REVOKED_LIST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			entry := writeModule(t, dir, "mine", manifestOf("mine", ""), wasmtest.Spinning().Encode())
			p, err := loadPolicy(t, dir, policyOf("revoked: revoked.txt\n", entry+", limits: {runMs: 86400000}"))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, p.Revoked, []byte("# nothing yet\n"))
			runner := &revokeDuring{sandboxed(), func(job worker.Job) {
				go func() { // once the guest may be running
					if err := c.change(p.Revoked, job); err != nil {
						t.Error(err)
					}
				}()
			}}
			r := checked(t, &Gate{Policy: p, Runner: runner})
			if r.Verdict != report.Inconclusive || denials(r) != c.code || r.Modules[0].Status != "denied" {
				t.Errorf("%s %+v %+v", r.Verdict, r.Findings, r.Modules)
			}
			if c.code == "MODULE_REVOKED" && !strings.Contains(r.Modules[0].Error, "it spins") {
				t.Errorf("no reason in %q", r.Modules[0].Error)
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// What was revoked after its own run had ended, while another ran, gave nothing.
func TestRevokedAfterItsRun(t *testing.T) {
	list := filepath.Join(t.TempDir(), "revoked.txt")
	writeFile(t, list, []byte("# none\n"))
	runner := &fakeRunner{results: map[string]sandbox.Result{"alpha": sizesOf(1, 2)}}
	g := newGate(t, policyOf("", "id: alpha"), runner)
	g.Revoked = list
	runner.during = func(job worker.Job) {
		if err := os.WriteFile(list, fmt.Appendf(nil, "%x # late\n", job.SHA256), 0o600); err != nil {
			t.Error(err)
		}
	}
	r, err := g.Check(t.Context(), Subject{Binding: bound(t, testBase(t), testAdapter(t, qProj))})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != report.Inconclusive || r.Modules[0].Status != "denied" || len(r.Metrics) != 0 || denials(r) != "MODULE_REVOKED" {
		t.Errorf("%s %+v %+v", r.Verdict, r.Modules, r.Metrics)
	}
}
