package registry

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzOpen opens databases in which somebody wrote. A host refuses them with a code, or starts and answers with what was written or a code.
func FuzzOpen(f *testing.F) {
	f.Add(uint16(0), []byte("SQLite format 3\x00"), false)
	f.Add(uint16(60), []byte{0, 0, 0, 2}, true)
	f.Add(uint16(18), []byte{1, 1}, false)
	f.Add(uint16(4096), []byte{0x0d, 0xff, 0xff, 0xff, 0xff}, false)
	f.Add(uint16(100), []byte("\x05\x00\x00\x00\x01"), true)
	f.Fuzz(func(t *testing.T, at uint16, foreign []byte, whole bool) {
		dir := t.TempDir()
		tell(t, dir)
		rewrite(t, dir, DatabaseName, func(b []byte) []byte {
			if whole {
				return append(b[:min(int(at), len(b))], foreign...)
			}
			copy(b[int(at)%len(b):], foreign)
			return b
		})
		r, err := Open(t.Context(), Options{Dir: dir})
		if err != nil {
			if c := string(code(err)); !strings.HasPrefix(c, "REG_") && !strings.HasPrefix(c, "IO_") {
				t.Fatal(err)
			}
			return
		}
		defer r.Close()
		live, err := r.Live(t.Context(), base)
		if err == nil && (len(live) != 2 || live[0].Alias != "x" || live[0].Sequence != 8 || live[1].Alias != "z" || live[1].Sequence != 10) {
			t.Errorf("live %+v", live)
		}
	})
}

// FuzzLog reads lines of an audit log. What is taken for a row is written as the same line.
func FuzzLog(f *testing.F) {
	e := entry{Kind: KindStart, Actor: "host", Detail: startDetail{Process: 1}}
	seed, err := e.encode(0, [32]byte{}, epoch)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed.line())
	f.Add([]byte("hello\n\n"))
	f.Add(bytes.Repeat(seed.line(), 3))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := newLogReader(bytes.NewReader(text))
		rest := text
		for {
			got, ok, err := lines.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			end := bytes.IndexByte(rest, '\n') + 1
			if ok && !bytes.EqualFold(got.line(), rest[:end]) {
				t.Errorf("%q is read as %q", rest[:end], got.line())
			}
			rest = rest[end:]
		}
		if lines.torn != (len(rest) > 0) {
			t.Errorf("torn %v with %d bytes left", lines.torn, len(rest))
		}
		path := filepath.Join(t.TempDir(), LogName)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		log, err := openJournal(path, false, (*os.File).Sync)
		if err != nil {
			t.Fatal(err)
		}
		defer log.file.Close()
		if _, complete, torn, err := log.tail(); err == nil && (complete+torn != int64(len(text)) || torn != int64(len(rest))) {
			t.Errorf("tail: %d and %d of %d bytes, and %d are torn", complete, torn, len(text), len(rest))
		}
	})
}
