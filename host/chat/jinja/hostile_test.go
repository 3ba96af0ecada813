package jinja

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestBounds renders templates that would run for long or fill the memory.
func TestBounds(t *testing.T) {
	for name, source := range map[string]string{
		"loops in loops":   `{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}`,
		"long range":       `{{ range(100000000000) }}`,
		"recursion":        `{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}`,
		"two calls":        `{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(90) }}`,
		"repeated":         `{{ 'x' * 10000000000 }}`,
		"doubled":          `{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
		"doubled list":     `{% set ns = namespace(s=[1,2]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
		"tilde":            `{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}`,
		"replace":          `{% set s = 'a' * 100000 %}{{ s.replace('a', s) }}`,
		"join":             `{% set s = 'a' * 1000000 %}{{ [s, s, s, s, s, s, s, s, s] | join(s) }}`,
		"output":           `{% set s = 'a' * 1000000 %}{% for i in range(100) %}{{ s }}{% endfor %}`,
		"nested list":      `{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}`,
		"in a nested list": `{% set a = namespace(s=[1]) %}{% set b = namespace(s=[1]) %}{% for i in range(12) %}{% set a.s = [a.s, a.s] %}{% set b.s = [b.s, b.s] %}{% endfor %}{% set c = namespace(l=[a.s, a.s, a.s, a.s]) %}{% for i in range(9999) %}{% if (b.s, 1) in [(a.s, 2)] %}{% endif %}{% endfor %}`,
		"nested JSON":      `{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s | tojson }}`,
		"searches":         `{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{% if 'b' in s %}{% endif %}{% endfor %}`,
		"indent":           `{{ ('\n' * 100000) | indent(1000, true, true) }}`,
		"compared nesting": `{% set a = namespace(s=[1]) %}{% set b = namespace(s=[1]) %}{% for i in range(60) %}{% set a.s = [a.s, a.s] %}{% set b.s = [b.s, b.s] %}{% endfor %}{{ a.s == b.s }}`,
	} {
		t.Run(name, func(t *testing.T) {
			template, err := Parse(source)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := template.Render(t.Context(), nil, clock); !errors.Is(err, ErrBounds) {
				t.Errorf("got %v", err)
			}
		})
	}
	template, err := Parse(`{% for a in range(99999) %}{% endfor %}`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := template.Render(ctx, nil, clock); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestParseRefusals(t *testing.T) {
	for source, want := range map[string]string{
		"{% include 'x' %}": `line 1: the block "include" is not supported`, "{% import 'x' as y %}": `"import" is not supported`,
		"\n\n{{ x.__class__() }}": `line 3: the method "__class__" is not supported`, "{{ [].append(1) }}": `the method "append" is not supported`,
		"{{ cycler(1) }}": `"cycler" is not supported`, "{% if x %}": "before the end of the template", "{{ x": "a tag has no }}",
		"{# x": "a comment has no end", "{% raw %}": "raw has no endraw", "{{ (1] }}": `"]" closes nothing`, "{{ 1 is prime }}": `the test "prime"`,
		"{% break %}": "is in no loop", "{% endfor %}": `"endfor" is not supported`, "{{ }}": "out of place", "{{ f(**x) }}": "arguments with *",
		"{{ '\\777' }}": "is not supported", "{{ " + strings.Repeat("(", 300) + strings.Repeat(")", 300) + "}}": "are in each other",
		strings.Repeat("{% if 1 %}", 300): "are in each other", "{{ " + strings.Repeat("not ", 300) + "1 }}": "are in each other",
		strings.Repeat("x", MaxSource+1): "bytes", "{{ " + strings.Repeat("-", 300) + "1 }}": "are in each other",
	} {
		if _, err := Parse(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", source, err, want)
		}
	}
}

// TestMarks follows the marks of a foreign text through operations: lower case is the template's, upper case somebody's.
func TestMarks(t *testing.T) {
	for source, want := range map[string]string{
		"a{{ x }}b": "aXYb", "{{ x[0] }}{{ x[::-1] }}": "XYX", "{{ x ~ 'c' }}": "XYc", "{{ ' ' + x + ' ' | trim }}": " XY",
		"{{ x.replace('X', 'm') }}": "mY", "{{ 'cxc'.replace('x', x) }}": "cXYc", "{{ x | tojson }}": `"XY"`, "{{ [x, 'd'] }}": "['XY', 'd']",
		"{{ [x, 'd'] | join('e') }}": "XYed", "{{ x.split('Y') | join('-') }}": "X-", "{% set z %}{{ x }}f{% endset %}{{ z }}": "XYf",
		"{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(x) }}": "<XY>", "{% filter trim %} {{ x }}{% endfilter %}": "XY", "{{ x * 2 }}": "XYXY",
		"{% for c in x %}{{ c }}.{% endfor %}": "X.Y.", "{{ x | indent(1, true) }}": " XY", "{{ {'k': x} | tojson }}": `{"k": "XY"}`,
	} {
		template, err := Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		text, err := template.Render(t.Context(), map[string]any{"x": Foreign("XY")}, clock)
		if err != nil || text.String() != want {
			t.Errorf("%s: %q, %v", source, text, err)
		}
		for piece, foreign := range text.Spans {
			if foreign != (strings.ToLower(piece) != piece) {
				t.Errorf("%s: %q is foreign: %v", source, piece, foreign)
			}
		}
	}
}

// FuzzRender renders any template with any words: it ends, and gives a text whose marks fit it.
func FuzzRender(f *testing.F) {
	for _, source := range []string{"{{ x }}", "{% for c in x %}{{ c|upper }}{% endfor %}", "{%- set a = x.split('b') -%}{{ a[-1:]|tojson }}",
		"{% macro m(a, b=1) %}{{ a ~ b }}{% endmacro %}{{ m(x) if x is string else none }}", "{# #}{% raw %}{{{% endraw %}", "{{ x[1:-1:2] * 3 // 2 ** 4 % -5 }}",
		"{{ {'a': [1, (2,)]}['a'][1] | first in [x] }}", "{{ x|replace('', '<')|title|indent|list|sort|unique|join(x) }}"} {
		f.Add(source, "a<b\u0130Σ\n")
	}
	f.Fuzz(func(t *testing.T, source, words string) {
		template, err := Parse(source)
		if err != nil {
			return
		}
		text, err := template.Render(t.Context(), map[string]any{"x": Foreign(words)}, clock)
		if err == nil && text.foreign != nil && len(text.foreign) != len(text.s) {
			t.Fatalf("%d marks for %d bytes", len(text.foreign), len(text.s))
		}
	})
}
