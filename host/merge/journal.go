package merge

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// finished is a tensor whose bytes are in their file and were checked there.
type finished struct {
	sum     [32]byte
	changed int64 // entries that differ from the base
}

// journal is the list of finished tensors in a work directory, one a line: "<hex SHA-256> <changed> <quoted name>". It is not synced,
// for it is believed only where the bytes have the digest it says.
type journal struct {
	found map[string]finished // from earlier runs

	mu sync.Mutex
	f  *os.File
}

// openJournal opens the journal of the merge that key names, or begins it. From the first line on that was not written to its end, or is
// no line of a journal, what an earlier run wrote is cut off.
func openJournal(path string, key [32]byte) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{f: f, found: map[string]finished{}}
	if err := j.read(fmt.Appendf(nil, "tenon.journal/1 %x\n", key)); err != nil {
		f.Close()
		return nil, err
	}
	return j, nil
}

// read takes over what the file holds, if it begins with title, and leaves the offset at its end.
func (j *journal) read(title []byte) error {
	text, err := io.ReadAll(io.LimitReader(j.f, maxReceipt))
	if err != nil {
		return err
	}
	valid := 0
	if rest, ours := bytes.CutPrefix(text, title); ours {
		valid = len(title)
		for {
			line, after, whole := bytes.Cut(rest, []byte("\n"))
			name, entry, ok := parseFinished(string(line))
			if !whole || !ok {
				break
			}
			j.found[name] = entry
			valid, rest = valid+len(line)+1, after
		}
	}
	if err := j.f.Truncate(int64(valid)); err != nil {
		return err
	}
	if _, err := j.f.Seek(int64(valid), io.SeekStart); err != nil {
		return err
	}
	if valid == 0 {
		_, err = j.f.Write(title)
	}
	return err
}

func parseFinished(line string) (name string, entry finished, ok bool) {
	fields := strings.SplitN(line, " ", 3)
	if len(fields) != 3 {
		return "", entry, false
	}
	sum, err := hex.DecodeString(fields[0])
	if err != nil || len(sum) != len(entry.sum) {
		return "", entry, false
	}
	entry.sum = [32]byte(sum)
	if entry.changed, err = strconv.ParseInt(fields[1], 10, 64); err != nil || entry.changed < 0 {
		return "", entry, false
	}
	name, err = strconv.Unquote(fields[2])
	return name, entry, err == nil
}

// add writes a line.
func (j *journal) add(name string, entry finished) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err := j.f.Write(fmt.Appendf(nil, "%x %d %q\n", entry.sum, entry.changed, name))
	return err
}

func (j *journal) close() { j.f.Close() }
