// Package tenon_test keeps the house: which package may import which, and what may not appear anywhere.
package tenon_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tenon-ml/tenon/"

// rooms says what each part of the tree may import of ours. The longest matching prefix decides.
var rooms = []struct {
	room string
	may  []string
}{
	{"sdk/", []string{"sdk/"}},
	{"internal/", []string{"sdk/", "internal/"}},
	{"plugins/", []string{"sdk/", "internal/kernel", "plugins/"}},
	{"wasm/", []string{"sdk/", "internal/kernel", "wasm/"}},
	{"wasm/modules/", []string{"sdk/", "wasm/modules/internal/"}},
	{"host/", []string{"sdk/", "internal/kernel", "internal/crashpoint", "wasm/", "host"}},
	{"host", []string{"sdk/", "internal/kernel", "internal/crashpoint", "wasm/", "host/"}},
	{"cmd/", []string{"sdk", "sdk/", "internal/", "plugins/", "wasm/", "host"}},
	{"examples/", []string{"sdk/"}},
}

// guarded libraries live in few places, so that replacing one is one change.
var guarded = map[string][]string{
	"github.com/tetratelabs/wazero":    {"wasm/sandbox"},
	"github.com/hashicorp/go-plugin":   {"sdk/backend", "host/backend"},
	"cel.dev/cel-go":                   {"host/gate"},
	"github.com/prometheus/":           {"host/server"},
	"charm.land/lipgloss":              {"host/report"},
	"gonum.org/v1/plot":                {"host/figure"},
	"github.com/chromedp":              {"host/report", "host/server/ui"},
	"modernc.org/sqlite":               {"host/registry"},
	"github.com/fsnotify":              {"host/watch"},
	"go.opentelemetry.io/":             {"host/telemetry"},
	"github.com/spf13/cobra":           {"cmd/tenon"},
	"github.com/ebitengine/purego":     {},
	"github.com/mmcloughlin/avo":       {"internal/kernel/asm"},
	"encoding/json":                    {}, // keeps the last of duplicate keys; github.com/go-json-experiment/json refuses them
	"github.com/golang/protobuf/proto": {},
}

type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

func TestImports(t *testing.T) {
	command := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports", "./...")
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	seen := 0
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		seen++
		for _, imported := range p.Imports {
			if dep, ours := strings.CutPrefix(imported, module); ours && !allowed(name, dep) {
				t.Errorf("%s imports %s, which its room may not", name, dep)
			}
			for library, places := range guarded {
				if strings.HasPrefix(imported, library) && !slices.Contains(places, name) {
					t.Errorf("%s imports %s, which belongs in %v", name, imported, places)
				}
			}
		}
	}
	if seen < 10 {
		t.Fatalf("only %d packages of ours were seen: the test looks in the wrong place", seen)
	}
}

func allowed(name, dep string) bool {
	best := -1
	for i, r := range rooms {
		if strings.HasPrefix(name+"/", r.room) || name == r.room {
			if best < 0 || len(r.room) > len(rooms[best].room) {
				best = i
			}
		}
	}
	if best < 0 {
		return false
	}
	// The built-in guests' folders are guests; the package that embeds them is part of wasm.
	if name == "wasm/modules" {
		return strings.HasPrefix(dep, "sdk/")
	}
	return slices.ContainsFunc(rooms[best].may, func(may string) bool { return dep == may || strings.HasPrefix(dep, may) })
}
