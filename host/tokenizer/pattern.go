package tokenizer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxPattern is the length in bytes of the longest regular expression that is read.
const maxPattern = 4096

// maxRepeat is the largest number in the braces of a counted repetition.
const maxRepeat = 64

// maxGroups is how deep the groups of a regular expression may be nested.
const maxGroups = 16

// expression is a parsed part of a regular expression: alternatives, the first that matches wins.
type expression [][]term

// term is one repeated part of an alternative.
type term struct {
	set        *runeSet   // one code point of it
	group      expression // else this
	look       bool       // else a look-ahead: whether the next code point is in the set, or there is none
	not        bool       // look-ahead: must not be
	min, max   int        // max -1: no end
	possessive bool       // never gives back what it took
}

// nullable reports whether the expression matches the empty text.
func (e expression) nullable() bool {
	for _, terms := range e {
		empty := true
		for _, t := range terms {
			empty = empty && (t.look || t.min == 0 || t.set == nil && t.group.nullable())
		}
		if empty {
			return true
		}
	}
	return false
}

// patternParser reads the part of Oniguruma's syntax that the patterns of tokenizers are written in. What it does not read exactly as
// Oniguruma does, it refuses.
type patternParser struct {
	rest  string
	fold  bool // inside (?i:…)
	depth int
}

// parsePattern parses a regular expression, which must not match the empty text.
func parsePattern(pattern string) (expression, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("longer than %d bytes", maxPattern)
	}
	p := &patternParser{rest: pattern}
	e, err := p.alternatives()
	switch {
	case err != nil:
		return nil, fmt.Errorf("at byte %d: %w", len(pattern)-len(p.rest), err)
	case p.rest != "":
		return nil, fmt.Errorf("at byte %d: a %q without its beginning", len(pattern)-len(p.rest), p.rest[:1])
	case e.nullable():
		return nil, fmt.Errorf("it matches the empty text")
	}
	return e, nil
}

func (p *patternParser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return ok
}

func (p *patternParser) alternatives() (expression, error) {
	var e expression
	for {
		var terms []term
		var last rune // a letter that the next may make a ligature with
		for p.rest != "" && p.rest[0] != '|' && p.rest[0] != ')' {
			literal := p.rest
			t, err := p.term()
			if err != nil {
				return nil, err
			}
			if p.fold {
				r, _ := utf8.DecodeRuneInString(literal)
				if t.set == nil || t.look {
					return nil, fmt.Errorf("a group inside (?i:…) is not supported")
				}
				if ligatures[string([]rune{last | 0x20, r | 0x20})] {
					return nil, fmt.Errorf("%q inside (?i:…) is not supported: a ligature matches it too", string([]rune{last, r}))
				}
				last = r
			}
			terms = append(terms, t)
		}
		e = append(e, terms)
		if !p.take("|") {
			return e, nil
		}
	}
}

// ligatures are the pairs of ASCII letters that one code point folds to.
var ligatures = map[string]bool{"ss": true, "st": true, "ff": true, "fi": true, "fl": true}

func (p *patternParser) term() (term, error) {
	t, err := p.atom()
	if err != nil || t.look {
		if err == nil && p.rest != "" && strings.ContainsRune("?*+{", rune(p.rest[0])) {
			err = fmt.Errorf("a repeated look-ahead is not supported")
		}
		return t, err
	}
	return t, p.repetition(&t)
}

func (p *patternParser) repetition(t *term) error {
	t.min, t.max = 1, 1
	counted := false
	switch {
	case p.take("?"):
		t.min = 0
	case p.take("*"):
		t.min, t.max = 0, -1
	case p.take("+"):
		t.max = -1
	case p.take("{"):
		counted = true
		inside, rest, ok := strings.Cut(p.rest, "}")
		p.rest = rest
		first, second, two := strings.Cut(inside, ",")
		var err error
		if t.min, err = strconv.Atoi(first); err == nil {
			if t.max = t.min; two && second == "" {
				t.max = -1
			} else if two {
				t.max, err = strconv.Atoi(second)
			}
		}
		if !ok || err != nil || strings.ContainsAny(inside, "+-") || t.min > maxRepeat || t.max > maxRepeat || t.max == 0 ||
			t.max > 0 && t.min > t.max {
			return fmt.Errorf("the repetition {%s} is not supported", inside)
		}
	default:
		return nil
	}
	if t.set == nil && t.group.nullable() {
		return fmt.Errorf("a repeated group that matches the empty text is not supported")
	}
	if !counted && t.set != nil && p.take("+") {
		t.possessive = true
	}
	if p.rest != "" && strings.ContainsRune("?*+{", rune(p.rest[0])) {
		return fmt.Errorf("a repetition followed by %q is not supported", p.rest[:1])
	}
	return nil
}

func (p *patternParser) atom() (term, error) {
	switch c := p.rest[0]; c {
	case '(':
		return p.group()
	case '[':
		set, err := p.class()
		return term{set: set}, err
	case '\\':
		m, err := p.escape()
		if err != nil {
			return term{}, err
		}
		return term{set: (&runeSet{members: p.folded(m)}).seal()}, nil
	case '.', '^', '$', '?', '*', '+', '{', '}', ']':
		return term{}, fmt.Errorf("%q is not supported here", string(c))
	}
	r, size := utf8.DecodeRuneInString(p.rest)
	if p.fold && r >= utf8.RuneSelf {
		return term{}, fmt.Errorf("%q inside (?i:…) is not supported", r)
	}
	p.rest = p.rest[size:]
	return term{set: (&runeSet{members: p.folded(runeRange{low: r, high: r})}).seal()}, nil
}

func (p *patternParser) group() (term, error) {
	if p.depth++; p.depth > maxGroups {
		return term{}, fmt.Errorf("groups nested deeper than %d", maxGroups)
	}
	outer := p.fold
	defer func() { p.fold = outer; p.depth-- }()
	var t term
	switch {
	case p.take("(?!"):
		t.look, t.not = true, true
	case p.take("(?="):
		t.look = true
	case p.take("(?i:"):
		p.fold = true
	case p.take("(?:"):
	case strings.HasPrefix(p.rest, "(?"):
		return t, fmt.Errorf("a group that begins with %.4q is not supported", p.rest)
	default:
		p.take("(")
	}
	e, err := p.alternatives()
	switch {
	case err != nil:
		return t, err
	case !p.take(")"):
		return t, fmt.Errorf("a group without its end")
	case !t.look:
		t.group = e
	case outer || len(e) != 1 || len(e[0]) != 1 || e[0][0].set == nil || e[0][0].look || e[0][0].min != 1 || e[0][0].max != 1:
		return t, fmt.Errorf("a look-ahead at more than one code point is not supported")
	default:
		t.set = e[0][0].set
	}
	return t, nil
}
