package bundle

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Limits of a member's name, in bytes and in folders.
const (
	maxNameBytes = 1024
	maxPartBytes = 255 // what file systems take
	maxDepth     = 16
)

// drive is the start of a path that Windows takes for absolute.
var drive = regexp.MustCompile(`^[A-Za-z]:`)

// cleanName returns a member's name without the "./" that tar writes before it and the "/" that it writes after a directory's; "" stands
// for the bundle's root. A name that could mean a place outside, or another place on another system, has a reason why it is refused.
func cleanName(raw string) (name, reason string) {
	name = raw
	for strings.HasPrefix(name, "./") {
		name = name[2:]
	}
	if name == "." {
		name = ""
	}
	name = strings.TrimSuffix(name, "/")
	switch {
	case len(raw) > maxNameBytes:
		return "", "is too long"
	case !utf8.ValidString(raw):
		return "", "is not UTF-8"
	case strings.ContainsFunc(raw, hidden):
		return "", "has a control character"
	case strings.HasPrefix(raw, "/"):
		return "", "is absolute"
	case drive.MatchString(name):
		return "", "names a drive"
	case strings.Contains(raw, `\`):
		return "", "has a backslash"
	case name == "":
		return "", ""
	}
	parts := strings.Split(name, "/")
	if len(parts) > maxDepth {
		return "", "is too deep"
	}
	for _, part := range parts {
		switch {
		case part == "..":
			return "", "leaves the bundle"
		case part == "" || part == ".":
			return "", "has a part without a name"
		case len(part) > maxPartBytes:
			return "", "is too long"
		}
	}
	return name, ""
}

// hidden are the characters that a name shows nothing of: control characters, and those that change the direction of what follows.
func hidden(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// names are the places of a bundle by what a file system may take them for: one that ignores case, or that normalizes.
type names map[string]place

type place struct {
	name   string
	folder bool
}

// add takes a member in, and the folders it lies in. The reason says with what it cannot be together.
func (n names) add(name string, folder bool) (reason string) {
	for at, r := range name {
		if r == '/' {
			if reason := n.take(place{name[:at], true}, true); reason != "" {
				return reason
			}
		}
	}
	return n.take(place{name, folder}, folder)
}

func (n names) take(p place, again bool) string {
	key := norm.NFC.String(cases.Fold().String(norm.NFC.String(p.name)))
	there, taken := n[key]
	switch {
	case !taken:
		n[key] = p
		return ""
	case there.name != p.name:
		return "differs only in case or accents from another: on some systems they are one file"
	case there.folder != p.folder:
		return "is a file and a folder"
	case !again:
		return "is there twice"
	}
	return ""
}
