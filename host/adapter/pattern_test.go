package adapter

import (
	"strings"
	"testing"
)

func TestSuffixPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, module string
		want            bool
	}{
		{"q_proj", "model.layers.0.q_proj", true},
		{"q_proj", "q_proj", true},
		{"q_proj", "model.layers.0.xq_proj", false},
		{"q_proj", "model.layers.0.q_proj.inner", false},
		{"layers.0.q", "model.layers.0.q", true},
		{"layers.0.q", "model.layersX0.q", true}, // "." is any character, as in Python
		{"layers.0.q", "model.layers.10.q", false},
		{"layers.0.q", "model.layersé0.q", true},
		{"model.layers.0.q", "model.layers.0.q", true},
		{"q", "", false},
		{"q|v", "a.v", true},
		{"q|v", "a.qv", false},
		{`layers\.[0-3]\..*`, "model.layers.2.mlp.up", true},
		{`layers\.[0-3]\..*`, "model.layers.4.mlp.up", false},
		{"^model.q", "model.q", true},
		{"^q", "model.q", false}, // "^" is the start of the name, not of the group
		{"(a+)+$", "x.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false},
		{"q$", "a.q", true},
		{"(?:q)", "a.q", true},
		{".*", "a.b", true},
	} {
		t.Run(c.pattern+" "+c.module, func(t *testing.T) {
			p, err := suffixPattern(c.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Match(c.module); got != c.want {
				t.Errorf("match is %v, want %v", got, c.want)
			}
		})
	}
}

func TestPatternRefused(t *testing.T) {
	for name, pattern := range map[string]string{
		"look-ahead":         `q(?=_proj)`,
		"negative":           `(?!k)q`,
		"look-behind":        `(?<=k)q`,
		"back-reference":     `(a)\1`,
		"possessive":         `a*+`,
		"atomic":             `(?>a)`,
		"unbalanced":         `a)(b`,
		"end of text":        `a\Z`,
		"RE2 end of text":    `a\z`,
		"property":           `\pL`,
		"quotation":          `\Qa.b\E`,
		"POSIX class":        `[[:alpha:]]`,
		"POSIX class inside": `[x[:alpha:]]`,
		"open repetition":    `a{,3}`,
		"named group":        `(?<n>a)`,
		"ungreedy flag":      `(?U)a`,
		"brace escape":       `\x{41}`,
		"too long":           strings.Repeat("a|", maxPatternLength),
		"too many states":    `((a{100}){100}){100}`,
		"too many states, 2": `(?:(?:ab?){1000}c){30}`,
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := suffixPattern(pattern); err == nil {
				t.Errorf("compiled, to about %d instructions", p.program)
			}
		})
	}
}

func TestLayerPattern(t *testing.T) {
	for _, c := range []struct{ pattern, module, want string }{
		{anyLayer, "model.layers.3.experts.5.w1", "3"}, // the first number wins
		{"experts", "model.layers.3.experts.5.w1", "5"},
		{"h", "transformer.h.7.attn", "7"},
		{anyLayer, "h.7.attn", ""}, // PEFT wants a "." before the list's name
		{anyLayer, "model.norm", ""},
	} {
		t.Run(c.pattern+" "+c.module, func(t *testing.T) {
			p, err := layerPattern(c.pattern)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := p.layer(c.module); got != c.want {
				t.Errorf("layer %q, want %q", got, c.want)
			}
		})
	}
}

func TestLayerPatternRefused(t *testing.T) {
	for _, pattern := range []string{"layers|h", "(h)", "", `h\b`} {
		if _, err := layerPattern(pattern); err == nil {
			t.Errorf("%q compiled", pattern)
		}
	}
}
