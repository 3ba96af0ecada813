package registry

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// maxLine bounds a line of the log, in bytes.
const maxLine = 64 << 20

// journal is the audit log: a line "HASH RECORD" for each row of the audit table, added when the database has the row. It can be a few rows
// short, when the host was killed or the disk was full in between; it is never ahead.
type journal struct {
	path   string
	file   *os.File
	size   int64                // of the lines that are known to be complete
	sync   func(*os.File) error // os.File.Sync
	behind []byte               // lines of rows that the database has and the log lacks
	failed error                // why the file is not trusted any more; nil while it is
}

// openJournal opens the log, and makes it where create says that it may be missing.
func openJournal(path string, create bool, sync func(*os.File) error) (*journal, error) {
	flags := os.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fault.New(fault.IOFileType, "the audit log is not a file").In(path).Fix("put the log back from a backup")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &journal{path: path, file: f, size: info.Size(), sync: sync}, nil
}

// line is the row as the log has it.
func (r row) line() []byte {
	line := make([]byte, 0, 64+1+len(r.text)+1)
	line = hex.AppendEncode(line, r.hash[:])
	line = append(line, ' ')
	line = append(line, r.text...)
	return append(line, '\n')
}

// splitLine cuts a line without its end in two. Whether the text is a record is not looked at: the row has no number.
func splitLine(line []byte) (r row, ok bool) {
	digits, text, ok := bytes.Cut(line, []byte{' '})
	if !ok || len(digits) != 64 {
		return r, false
	}
	if _, err := hex.Decode(r.hash[:], digits); err != nil {
		return r, false
	}
	r.text = bytes.Clone(text)
	return r, true
}

// parseLine reads a line without its end.
func parseLine(line []byte) (row, bool) {
	r, ok := splitLine(line)
	if !ok {
		return r, false
	}
	rec, err := decodeRecord(r.text)
	r.sequence = rec.Sequence
	return r, err == nil
}

// add writes the lines of rows that the database has. The rows are decided: what fails here is kept for flush, which the next change begins
// with.
func (j *journal) add(rows []row) error {
	for _, r := range rows {
		j.behind = append(j.behind, r.line()...)
	}
	return j.flush()
}

// flush writes what is behind. After a failed sync nobody knows what the disk holds of the file, and a second sync that succeeds would not
// mean anything: the file is not used again by this process.
func (j *journal) flush() error {
	if j.failed != nil || len(j.behind) == 0 {
		return j.failed
	}
	if _, err := j.file.WriteAt(j.behind, j.size); err != nil {
		if cut := j.file.Truncate(j.size); cut != nil {
			j.failed = durable.Fault(j.path, errors.Join(err, cut))
		}
		return durable.Fault(j.path, err)
	}
	if err := j.sync(j.file); err != nil {
		j.failed = durable.Fault(j.path, err)
		return j.failed
	}
	j.size += int64(len(j.behind))
	j.behind = nil
	return nil
}

// tail is the last complete line and how many bytes the complete lines have; torn are the bytes after them. No line gives the zero row.
func (j *journal) tail() (last row, complete int64, torn int64, err error) {
	end, found := int64(-1), false
	var text []byte // from at on
	for at := j.size; at > 0; {
		step := min(at, 64<<10)
		at -= step
		block := make([]byte, step, step+int64(len(text)))
		if _, err := j.file.ReadAt(block, at); err != nil {
			return last, 0, 0, durable.Fault(j.path, err)
		}
		text = append(block, text...)
		if end < 0 {
			if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
				end, text = at+int64(i)+1, text[:i]
			}
		}
		if end >= 0 {
			if i := bytes.LastIndexByte(text, '\n'); i >= 0 || at == 0 {
				text, found = text[i+1:], true
				break
			}
		}
		if len(text) > maxLine {
			break
		}
	}
	if end < 0 {
		if j.size > maxLine {
			return last, 0, 0, io.ErrUnexpectedEOF
		}
		return last, 0, j.size, nil
	}
	last, ok := parseLine(text)
	if !found || !ok {
		return last, end, j.size - end, io.ErrUnexpectedEOF
	}
	return last, end, j.size - end, nil
}

// logReader gives the complete lines of a log in order.
type logReader struct {
	lines *bufio.Reader
	torn  bool // the last line has no end
}

func newLogReader(r io.Reader) *logReader { return &logReader{lines: bufio.NewReaderSize(r, 1<<20)} }

// next gives the next row; ok is false for a line that is none. At the end the error is io.EOF.
func (l *logReader) next() (r row, ok bool, err error) {
	line, err := l.raw()
	if err != nil {
		return r, false, err
	}
	r, ok = parseLine(line)
	return r, ok, nil
}

// line is next for somebody who has the row: it is cut in two, and not read.
func (l *logReader) line() (r row, ok bool, err error) {
	line, err := l.raw()
	if err != nil {
		return r, false, err
	}
	r, ok = splitLine(line)
	return r, ok, nil
}

// raw gives the next line without its end.
func (l *logReader) raw() (line []byte, err error) {
	for {
		part, err := l.lines.ReadSlice('\n')
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) && len(line) <= maxLine {
			continue
		}
		if errors.Is(err, io.EOF) {
			l.torn = len(line) > 0
			return nil, io.EOF
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		return bytes.TrimSuffix(line, []byte{'\n'}), nil
	}
}
