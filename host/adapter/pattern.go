package adapter

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// The limits on patterns keep matching bounded for any configuration: RE2 is linear in pattern times text, and these bound the product.
const (
	maxPatternLength   = 4096        // bytes of one pattern
	maxPatternPrograms = 10_000      // instructions that one pattern may compile to, about
	maxAllPrograms     = 200_000     // instructions that all patterns together may compile to, about
	maxPatternWork     = 500_000_000 // instructions of all patterns times bytes of all module names
	maxPlainWork       = 1 << 30     // bytes of all patterns that are not compiled, and plainCost for each, times module names
	plainCost          = 16          // what it costs to begin with one, in bytes compared
)

// Pattern is a Python regular expression of an adapter's configuration. PEFT matches it with Python's re; Tenon with RE2, which agrees
// on whether a text matches wherever both accept a pattern, and refuses the constructs that only one of them has or that they read
// differently.
type Pattern struct {
	Text string `json:"pattern"`

	whole   *regexp.Regexp // nil when the pattern is plain
	program int            // instructions that whole has, about; 0 when the pattern is plain
}

// suffixPattern compiles a key of rank_pattern or alpha_pattern: a module matches when re.match(r"(.*\.)?(p)$", module) does
// (peft/utils/other.py, get_pattern_key). A pattern of letters, digits, "_", "-" and "." is not compiled: it matches a
// suffix of its own length that begins the name or follows a ".", and its "." stands for any one character. EVA writes one such
// pattern for each module.
func suffixPattern(text string) (Pattern, error) {
	if plain(text) {
		return Pattern{Text: text}, nil
	}
	return compile(text, `^(?:.*\.)?(?:`+text+`)$`)
}

// fullPattern compiles a string of target_modules or exclude_modules: a module matches when re.fullmatch(p, module) does.
func fullPattern(text string) (Pattern, error) { return compile(text, `^(?:`+text+`)$`) }

// layerPattern compiles one entry of layers_pattern; its first group is the layer's index. PEFT puts the entry into an expression as it is,
// where an alternation or a group would take the expression apart, so only plain names are read, and anyLayer.
func layerPattern(text string) (Pattern, error) {
	if !plain(text) && text != anyLayer {
		return Pattern{}, errors.New("an entry of layers_pattern must be the plain name of a list of layers")
	}
	return compile(text, `^.*?\.`+text+`\.([0-9]+)\.`)
}

func compile(text, whole string) (Pattern, error) {
	if len(text) > maxPatternLength {
		return Pattern{}, fmt.Errorf("the pattern has %d bytes, more than %d", len(text), maxPatternLength)
	}
	if construct := foreignConstruct(text); construct != "" {
		return Pattern{}, fmt.Errorf("%s means something else, or nothing, in Python", construct)
	}
	// Parsed by itself first, so that an unbalanced ")" cannot end the group that Tenon puts around it.
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return Pattern{}, errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	program := programSize(parsed)
	if program > maxPatternPrograms {
		return Pattern{}, fmt.Errorf("the pattern compiles to about %d instructions, more than %d", program, maxPatternPrograms)
	}
	compiled, err := regexp.Compile(whole)
	if err != nil {
		return Pattern{}, err
	}
	return Pattern{Text: text, whole: compiled, program: program + 8}, nil
}

// Match reports whether the pattern matches a module's path.
func (p Pattern) Match(module string) bool {
	if p.whole != nil {
		return p.whole.MatchString(module)
	}
	rest := module
	for i := len(p.Text) - 1; i >= 0; i-- {
		r, size := utf8.DecodeLastRuneInString(rest)
		if size == 0 || p.Text[i] != '.' && rune(p.Text[i]) != r {
			return false
		}
		rest = rest[:len(rest)-size]
	}
	return rest == "" || rest[len(rest)-1] == '.'
}

// layer returns the index that a layerPattern finds in a module's path, as it is written there.
func (p Pattern) layer(module string) (string, bool) {
	groups := p.whole.FindStringSubmatch(module)
	if groups == nil {
		return "", false
	}
	return groups[1], true
}

// plain reports whether a pattern holds only characters that stand for themselves, and ".".
func plain(text string) bool {
	for i := range len(text) {
		c := text[i]
		if !(c == '.' || c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return text != ""
}

// foreignConstruct names the first construct that RE2 accepts and Python's re does not accept or reads differently: both must agree
// or the pattern is refused, because the wrong rank or alpha would be a guess.
func foreignConstruct(text string) string {
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case rest[0] == '\\' && len(rest) > 1:
			if strings.IndexByte("pPQECz", rest[1]) >= 0 || strings.HasPrefix(rest, `\x{`) {
				return "the escape " + rest[:2]
			}
			i++ // the escaped character cannot begin a construct
		case strings.HasPrefix(rest, "[:"): // anywhere in a class
			return "the class [[:name:]]"
		case strings.HasPrefix(rest, "{,"):
			return "the repetition {,n}"
		case strings.HasPrefix(rest, "(?<") && !strings.HasPrefix(rest, "(?<=") && !strings.HasPrefix(rest, "(?<!"):
			return "the group (?<name>…)"
		case strings.HasPrefix(rest, "(?U"), strings.HasPrefix(rest, "(?-"):
			return "the flag " + rest[:3]
		}
	}
	return ""
}

// programSize estimates the instructions a parsed pattern compiles to, with its repetitions unrolled, without unrolling them.
func programSize(re *syntax.Regexp) int {
	const ceiling = maxPatternPrograms + 1
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size = min(size+programSize(sub), ceiling)
	}
	if re.Op == syntax.OpRepeat {
		size = min(size*max(re.Min, re.Max, 1), ceiling)
	}
	return size
}
