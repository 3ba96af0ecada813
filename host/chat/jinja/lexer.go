package jinja

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// token is a piece of a template. Text between tags is one token, and so is each word of a tag.
type token struct {
	kind  kind
	value string // name, operator, digits; text of a string after its escapes
	line  int
}

type kind int

const (
	textToken kind = iota
	nameToken
	integerToken
	floatToken
	stringToken
	operatorToken
	blockBegin
	blockEnd
	variableBegin
	variableEnd
	endToken
)

// lexer cuts a template into tokens by the rules of Jinja2's lexer, with trim_blocks and lstrip_blocks.
type lexer struct {
	source    string
	at        int
	line      int
	lineStart bool // the last tag ended with a line's end
	tokens    []token
}

var (
	newline  = regexp.MustCompile(`\r\n|\r|\n`)
	rawBegin = regexp.MustCompile(`^\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})`)
	rawEnd   = regexp.MustCompile(`\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)`)
	words    = regexp.MustCompile(`^(?:(\s+)|([A-Za-z_][A-Za-z0-9_]*)|([0-9](?:_?[0-9])*(?:\.[0-9](?:_?[0-9])*)?(?:[eE][-+]?[0-9]+)?)|` +
		`('(?:[^'\\]|\\(?s:.))*'|"(?:[^"\\]|\\(?s:.))*")|(\*\*|//|==|!=|<=|>=|[-+*/%~<>=()\[\]{}.,:|]))`)
)

func lex(source string) ([]token, error) {
	source = newline.ReplaceAllString(source, "\n")
	l := &lexer{source: strings.TrimSuffix(source, "\n"), line: 1, lineStart: true}
	for l.at < len(l.source) {
		if err := l.next(); err != nil {
			return nil, err
		}
	}
	l.add(endToken, "")
	return l.tokens, nil
}

func (l *lexer) add(k kind, value string) { l.tokens = append(l.tokens, token{k, value, l.line}) }

// take moves over n bytes and returns them.
func (l *lexer) take(n int) string {
	piece := l.source[l.at : l.at+n]
	l.at += n
	l.line += strings.Count(piece, "\n")
	if n > 0 {
		l.lineStart = piece[n-1] == '\n'
	}
	return piece
}

func (l *lexer) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %w", l.line, fmt.Errorf(format, args...))
}

// text adds the text before a tag, without the white space that the tag takes away.
func (l *lexer) text(piece, sign string, variable bool) {
	switch {
	case sign == "-":
		piece = strings.TrimRightFunc(piece, isSpace)
	case sign != "+" && !variable:
		if i := strings.LastIndexByte(piece, '\n') + 1; (i > 0 || l.lineStart) && strings.TrimFunc(piece[i:], isSpace) == "" {
			piece = piece[:i]
		}
	}
	if piece != "" {
		l.add(textToken, piece)
	}
}

// next reads text and the tag after it.
func (l *lexer) next() error {
	rest := l.source[l.at:]
	i := tagAt(rest)
	if i < 0 {
		l.add(textToken, l.take(len(rest)))
		return nil
	}
	sign := ""
	if len(rest) > i+2 && (rest[i+2] == '-' || rest[i+2] == '+') {
		sign = rest[i+2 : i+3]
	}
	variable := rest[i+1] == '{'
	l.text(rest[:i], sign, variable)
	l.take(i)
	rest = l.source[l.at:]
	switch {
	case rest[1] == '#':
		return l.comment()
	case rawBegin.MatchString(rest):
		return l.raw(len(rawBegin.FindString(rest)))
	}
	begin, end, closing := blockBegin, blockEnd, "%}"
	if variable {
		begin, end, closing = variableBegin, variableEnd, "}}"
	}
	l.add(begin, "")
	l.take(2 + len(sign))
	if err := l.tag(closing, variable); err != nil {
		return err
	}
	l.add(end, "")
	return nil
}

// tagAt is where the first tag of a text begins, below 0 where there is none.
func tagAt(text string) int {
	for i := 0; i+1 < len(text); i++ {
		if text[i] == '{' && (text[i+1] == '{' || text[i+1] == '%' || text[i+1] == '#') {
			return i
		}
	}
	return -1
}

func (l *lexer) comment() error {
	i := strings.Index(l.source[l.at+2:], "#}")
	if i < 0 {
		return l.errorf("a comment has no end")
	}
	sign := l.source[l.at+1+i]
	l.take(i + 4)
	l.trim(i > 0 && sign == '-', !(i > 0 && sign == '+'))
	return nil
}

// trim takes white space after a tag: all of it, or one line's end.
func (l *lexer) trim(all, newline bool) {
	rest := l.source[l.at:]
	switch {
	case all:
		l.take(len(rest) - len(strings.TrimLeftFunc(rest, isSpace)))
	case newline && strings.HasPrefix(rest, "\n"):
		l.take(1)
	}
}

func (l *lexer) raw(begin int) error {
	l.take(begin)
	rest := l.source[l.at:]
	at := rawEnd.FindStringSubmatchIndex(rest)
	if at == nil {
		return l.errorf("raw has no endraw")
	}
	l.text(rest[:at[0]], rest[at[2]:at[3]], false)
	l.take(at[1])
	return nil
}

// tag reads the words of a tag and its end.
func (l *lexer) tag(closing string, variable bool) error {
	var open []byte // brackets
	for l.at < len(l.source) {
		rest := l.source[l.at:]
		if len(open) == 0 {
			for _, sign := range []string{"-", "+", ""} {
				if (sign != "+" || !variable) && strings.HasPrefix(rest, sign+closing) {
					l.take(len(sign) + 2)
					l.trim(sign == "-", sign == "" && !variable)
					return nil
				}
			}
		}
		m := words.FindStringSubmatch(rest)
		if m == nil {
			return l.errorf("%.20q is not understood", rest)
		}
		switch {
		case m[1] != "":
		case m[2] != "":
			l.add(nameToken, m[2])
		case m[3] != "":
			digits := strings.ReplaceAll(m[3], "_", "")
			if strings.ContainsAny(digits, ".eE") {
				l.add(floatToken, digits)
			} else {
				l.add(integerToken, digits)
			}
		case m[4] != "":
			value, err := unescape(m[4][1 : len(m[4])-1])
			if err != nil {
				return l.errorf("%w", err)
			}
			l.add(stringToken, value)
		default:
			switch c := m[5][0]; c {
			case '(', '[', '{':
				open = append(open, c)
			case ')', ']', '}':
				if len(open) == 0 || map[byte]byte{'(': ')', '[': ']', '{': '}'}[open[len(open)-1]] != c {
					return l.errorf("%q closes nothing", m[5])
				}
				open = open[:len(open)-1]
			}
			l.add(operatorToken, m[5])
		}
		l.take(len(m[0]))
	}
	return l.errorf("a tag has no %s", closing)
}

// unescape reads a string literal as Python does.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]
		plain := strings.IndexByte(`\'"abfnrtv`+"\n", s[i])
		switch {
		case plain >= 0:
			b.WriteString([]string{`\`, "'", `"`, "\a", "\b", "\f", "\n", "\r", "\t", "\v", ""}[plain])
		case digits > 0:
			code, err := strconv.ParseUint(s[i+1:min(len(s), i+1+digits)], 16, 32)
			if err != nil || len(s) < i+1+digits || code > 0x10ffff || code >= 0xd800 && code < 0xe000 {
				return "", fmt.Errorf("%.12q is no escape of a string", s[i-1:])
			}
			b.WriteRune(rune(code))
			i += digits
		case s[i] >= '0' && s[i] <= '7' || s[i] == 'N':
			return "", fmt.Errorf("the escape %.2q of a string is not supported", s[i-1:])
		default: // an unknown escape is itself
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
