package sandbox

import (
	"fmt"
	"slices"
	"strings"
)

// guestLog keeps the first bytes a guest writes and counts the rest. Notes of the sandbox come after them and are never cut.
type guestLog struct {
	limit   int
	kept    []byte
	dropped int64
	notes   []string
	noted   []string // the formats of notes
}

// Write takes all of p, whatever is kept of it: a guest that writes too much is not told.
func (l *guestLog) Write(p []byte) (int, error) {
	keep := min(len(p), l.limit-len(l.kept))
	l.kept = append(l.kept, p[:keep]...)
	l.dropped += int64(len(p) - keep)
	return len(p), nil
}

// line writes text and ends its line.
func (l *guestLog) line(text string) {
	_, _ = l.Write([]byte(text))
	if !strings.HasSuffix(text, "\n") {
		_, _ = l.Write([]byte("\n"))
	}
}

// note adds a note, once for each format: a guest may run into a limit a million times.
func (l *guestLog) note(format string, args ...any) {
	if slices.Contains(l.noted, format) {
		return
	}
	l.noted = append(l.noted, format)
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

// String is the log as valid UTF-8: what the guest wrote, then a line in brackets for everything that was refused or cut.
func (l *guestLog) String() string {
	text := strings.ToValidUTF8(string(l.kept), "\ufffd")
	notes := l.notes
	if l.dropped > 0 {
		notes = append(notes[:len(notes):len(notes)], fmt.Sprintf("%d more bytes of log were dropped, the limit is %d", l.dropped, l.limit))
	}
	for _, note := range notes {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text += "[" + note + "]\n"
	}
	return text
}
