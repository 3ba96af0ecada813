package gate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExtends(t *testing.T) {
	p := mustPolicy(t, `schema: tenon.policy/v1
name: mine
extends: default
without: [similarity, DELTA_EXCEEDS_WEIGHT]
probe: texts.yaml
modules:
  - {id: spectrum, grant: [kernels], base_svd: true}
  - {id: own}
rules:
  - {code: AD_NO_EFFECT, severity: warn, when: "false", message: replaced}
  - {code: OWN, severity: warn, when: "false", message: added}
`)
	parent := DefaultPolicy()
	var ids, codes []string
	for _, m := range p.Modules {
		ids = append(ids, m.ID)
		if m.ID == "spectrum" && !m.BaseSVD {
			t.Error("a module of the file does not take the place of the one it extends")
		}
	}
	for _, r := range p.rules {
		codes = append(codes, r.code)
		if r.code == "AD_NO_EFFECT" && r.message != "replaced" {
			t.Error("a rule of the file does not take the place of the one it extends")
		}
	}
	if len(ids) != len(parent.Modules) || slices.Contains(ids, "similarity") || ids[len(ids)-1] != "own" {
		t.Errorf("modules are %s", ids)
	}
	if len(codes) != len(parent.rules) || slices.Contains(codes, "DELTA_EXCEEDS_WEIGHT") || codes[len(codes)-1] != "OWN" {
		t.Errorf("rules are %s", codes)
	}
	if p.Probe != "texts.yaml" || p.Digest == parent.Digest {
		t.Errorf("probe %q, digest %x", p.Probe, p.Digest)
	}
	if before := len(DefaultPolicy().Modules); before != len(parent.Modules) || !slices.ContainsFunc(DefaultPolicy().Modules, func(m Requirement) bool { return m.ID == "similarity" }) {
		t.Error("extending a policy changed it")
	}
}

func TestExtendsIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ lines, want string }{
		"unknown policy":        {"extends: defualt", `did you mean "default"?`},
		"without of none":       {"without: [spectrum]\nmodules: []", "extends none"},
		"without of a stranger": {"extends: default\nwithout: [spektrum]", "no module and no rule"},
		"not a list":            {"extends: default\nwithout: spectrum", "expected a list"},
		"not true or false":     {"extends: default\nmodules: [{id: own, base_svd: 1}]", "expected true or false"},
		"nothing left to deny":  {"extends: default\nwithout: [DIAGNOSTIC_DENIES, COVERAGE_REJECTED, AD_NO_EFFECT, ADAPTER_DWARFS_BASE, PROBE_TASK_WORSE, PROBE_UNEXPECTED]", "no rule has severity deny"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePolicy("policy.yaml", []byte("schema: tenon.policy/v1\nname: test\n"+c.lines+"\n"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want it to say %q", err, c.want)
			}
		})
	}
}

// A probe file is named relative to the policy, wherever the program runs.
func TestProbeFileOfAPolicy(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(path, []byte("schema: tenon.policy/v1\nname: test\nextends: default\nprobe: texts.yaml\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := LoadPolicy(path)
	if err != nil || p.Probe != filepath.Join(dir, "texts.yaml") {
		t.Errorf("probe is %q, %v", p.Probe, err)
	}
}
