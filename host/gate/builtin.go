package gate

import (
	"bytes"
	"embed"
	"fmt"
	"sync"
)

// DefaultName is the policy that decides when nobody gives one.
const DefaultName = "default"

// builtinNames are the policies that come with Tenon, the one that the others extend first.
var builtinNames = []string{DefaultName, "factors", "full"}

//go:embed default.yaml factors.yaml full.yaml
var builtinFiles embed.FS

// BuiltinNames lists the policies that come with Tenon.
func BuiltinNames() []string { return append([]string(nil), builtinNames...) }

// BuiltinYAML is a policy that comes with Tenon as text, with comments for the person who edits a copy; false where there is none of that
// name. The caller owns it.
func BuiltinYAML(name string) ([]byte, bool) {
	text, err := builtinFiles.ReadFile(name + ".yaml")
	return bytes.Clone(text), err == nil
}

// Builtin is the policy of BuiltinYAML.
func Builtin(name string) (*Policy, bool) {
	p, ok := parseBuiltin()[name]
	return p, ok
}

// DefaultPolicy is the policy that decides when nobody gives one.
func DefaultPolicy() *Policy { return parseBuiltin()[DefaultName] }

var parseBuiltin = sync.OnceValue(func() map[string]*Policy {
	parsed := map[string]*Policy{}
	for _, name := range builtinNames {
		text, _ := BuiltinYAML(name)
		p, err := parse(fmt.Sprintf("the built-in policy %s", name), text, parsed)
		if err != nil {
			panic(fmt.Sprintf("an embedded policy does not load: %v", err))
		}
		parsed[name] = p
	}
	return parsed
})
