package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/tenon-ml/tenon/host/fault"
)

// TestMain is also the programs that the tests kill, or run on disks of their own.
func TestMain(m *testing.M) {
	if role := os.Getenv(childVariable); role != "" {
		if err := children[role](os.Getenv("REGISTRY_DIR")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	templates, _ = os.MkdirTemp("", "registry-test-")
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(templates)
		os.Exit(code)
	}))
}

// templates holds directories that several tests begin with.
var templates string

// copyOf fills dir with a copy of a directory that is made once.
func copyOf(t testing.TB, dir, name string, fill func(testing.TB, string)) {
	t.Helper()
	template := filepath.Join(templates, name)
	if _, err := os.Stat(template); err != nil {
		fill(t, template)
	}
	if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
		t.Fatal(err)
	}
}

// childVariable names the role of a child.
const childVariable = "REGISTRY_CHILD"

// children are the roles: each gets a directory.
var children = map[string]func(dir string) error{"write": writeForever, "repair": repairChild, "hold": holdChild, "full": fullChild, "readonly": readOnlyChild, "limit": limitChild}

// open opens a registry that the test closes.
func open(t testing.TB, dir string) *Registry {
	t.Helper()
	r, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// shut closes a registry within a test.
func shut(t testing.TB, r *Registry) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// code is the code of an error, "" of none.
func code(err error) fault.Code {
	if list := fault.All(err); len(list) > 0 {
		return list[0].Code
	}
	if err != nil {
		return "no code: " + fault.Code(err.Error())
	}
	return ""
}

// number is a digest that tests can tell apart.
func number(n int) (d [32]byte) {
	binary.BigEndian.PutUint64(d[:], uint64(n)+1)
	return d
}

var base = number(1 << 40)

// activation is the nth change of an alias.
func activation(alias string, n int) Activation {
	return Activation{Actor: "somebody", Alias: alias, Action: ActionActivate, Generation: number(n), Content: number(n + 1000), Adapter: adapterDigest(n), Ref: "./adapter", Mode: "merged", Base: base}
}

// adapterFiles are the files of the nth adapter.
func adapterFiles(n int) []File {
	var files []File
	for _, name := range []string{"adapter_config.json", "adapter_model.safetensors"} {
		text := bytes.Repeat(fmt.Appendf(nil, "%s of %d\n", name, n), 500)
		files = append(files, File{Name: name, Data: bytes.NewReader(text), Size: int64(len(text)), SHA256: sha256.Sum256(text)})
	}
	return files
}

func adapterDigest(n int) [32]byte { return sha256.Sum256(fmt.Appendf(nil, "adapter %d", n)) }

// checkKept wants the nth adapter in the store, byte for byte.
func checkKept(r *Registry, n int) error {
	dir, err := r.AdapterDir(adapterDigest(n))
	if err != nil {
		return err
	}
	manifest, err := manifestOf(adapterDigest(n), adapterFiles(n))
	if err != nil {
		return err
	}
	return checkAdapter(context.Background(), dir, manifest)
}

// decision is the nth decision.
func decision(n int) Decision {
	return Decision{Actor: "somebody", Alias: "x", Ref: "./adapter", Adapter: "sha256:aa", Base: "sha256:bb", Policy: "sha256:cc", Modules: []string{"hygiene@sha256:dd"},
		Verdict: "admit", Findings: []string{"AD_ZERO"}, Report: fmt.Appendf(nil, `{"schemaVersion":"tenon.report/v1","verdict":"admit","adapter":{"ref":"r%d","digest":"sha256:aa"}}`, n)}
}

// intact fails a test whose audit table does not verify.
func intact(t testing.TB, dir string) AuditReport {
	t.Helper()
	report, err := VerifyAuditDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Intact {
		t.Fatalf("the audit table is not intact: %+v", *report.Bad)
	}
	return report
}

// names lists a folder of a data directory.
func names(t testing.TB, dir string, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// writeForever decides, keeps and activates, and says what was acknowledged, until it is killed or the limit is reached.
func writeForever(dir string) error {
	ctx := context.Background()
	r, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		return err
	}
	for n := range 40 {
		for _, step := range []struct {
			name string
			do   func() (any, error)
		}{
			{"decided", func() (any, error) { return r.Decide(ctx, decision(n)) }},
			{"kept", func() (any, error) { return n, r.KeepAdapter(ctx, adapterDigest(n), adapterFiles(n)) }},
			{"committed", func() (any, error) {
				at, err := r.At(ctx, base, "x")
				if err != nil {
					return nil, err
				}
				a, err := r.Commit(ctx, at, activation("x", n))
				return a.Sequence, err
			}},
		} {
			result, err := step.do()
			if err != nil {
				return err
			}
			if _, err := fmt.Printf("%s %v %d\n", step.name, result, n); err != nil {
				return err
			}
		}
	}
	return r.Close()
}

func repairChild(dir string) error {
	_, err := Repair(context.Background(), dir)
	return err
}

// holdChild holds the registry until its input ends.
func holdChild(dir string) error {
	r, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return r.Close()
}

// expect is an error unless err has a code.
func expect(what string, err error, want ...fault.Code) error {
	got := code(err)
	for _, w := range want {
		if got == w {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("%s gives %q, want one of %q", what, got, want), err)
}
