package gate

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// maxRevoked is the size of the largest list that is read.
const maxRevoked = 4 << 20

// revoked are digests, of guests or of manifests, that must not run, each with the reason for it, which may be "".
type revoked map[[32]byte]string

// parseRevoked reads a list of revoked modules: on each line a SHA-256 in hexadecimal, with or without sha256: before it, and behind a # the
// reason. Lines may be empty or hold a # and a remark alone. Whatever else there is makes the list unusable, and so does a last line without
// its end: half of a list must not count as all of it. file names it in errors.
func parseRevoked(file string, text []byte) (revoked, error) {
	problem := func(line int, cause string, args ...any) error {
		e := fault.New(fault.RevokedList, cause, args...).In(file).Fix("each line is sha256:HEX # reason; write a new list beside the old one and rename it")
		if line > 0 {
			e.Cause = fmt.Sprintf("line %d: %s", line, e.Cause)
		}
		return e
	}
	switch {
	case len(text) > maxRevoked:
		return nil, problem(0, "larger than the limit of %d bytes", maxRevoked)
	case len(text) == 0:
		return nil, problem(0, "empty; a list that revokes nothing holds a line with a #")
	case text[len(text)-1] != '\n':
		return nil, problem(0, "the last line does not end: is the list still being written?")
	case !utf8.Valid(text):
		return nil, problem(0, "not UTF-8")
	}
	list := revoked{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxRevoked+1)
	for n := 1; lines.Scan(); n++ {
		entry, reason, _ := strings.Cut(lines.Text(), "#")
		if entry, reason = strings.TrimSpace(entry), strings.TrimSpace(reason); entry == "" {
			continue
		}
		digits := strings.TrimPrefix(entry, "sha256:")
		sum, err := hex.DecodeString(digits)
		if err != nil || len(sum) != 32 || digits != strings.ToLower(digits) {
			return nil, problem(n, "%.80q is no SHA-256 of 64 lower-case hexadecimal digits", entry)
		}
		if len(reason) > maxText {
			return nil, problem(n, "a reason of %d bytes, and the limit is %d", len(reason), maxText)
		}
		if digest := [32]byte(sum); list[digest] == "" {
			list[digest] = reason
		}
	}
	return list, lines.Err()
}

// revokedFile is a list on disk, as it was last read.
type revokedFile struct {
	path    string
	digests revoked
	err     error // why it cannot be used

	info fs.FileInfo
	read time.Time
}

// load reads the list anew.
func (l *revokedFile) load() {
	l.digests, l.info, l.read = nil, nil, time.Now()
	f, err := reference.OpenRegular(l.path, true)
	if err != nil {
		l.err = err
		return
	}
	defer f.Close()
	if l.info, l.err = f.Stat(); l.err != nil {
		return
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRevoked+1))
	if l.err = err; err == nil {
		l.digests, l.err = parseRevoked(l.path, text)
	}
}

// settled is how old a file's time must be to tell its contents: clocks of file systems are coarse, and a second change within one tick leaves
// the time as it was.
const settled = 2 * time.Second

// changed reports whether the file may hold something else than when it was read.
func (l *revokedFile) changed() bool {
	info, err := os.Stat(l.path)
	return err != nil || l.err != nil || !os.SameFile(info, l.info) || info.Size() != l.info.Size() || !info.ModTime().Equal(l.info.ModTime()) ||
		l.read.Sub(info.ModTime()) < settled
}
