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

// maxLine bounds a line of the log, in bytes without its end.
const maxLine = 64 + 1 + maxRecord

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

// tail is the last complete line and how many bytes the complete lines have; torn are the bytes after them. No line gives the zero row. What
// is no line, or longer than any that is written, is io.ErrUnexpectedEOF: nothing of it is cut away.
func (j *journal) tail() (last row, complete int64, torn int64, err error) {
	if complete, err = j.lineStart(j.size, maxBehind*(maxLine+1)); err != nil { // a write that was cut short is of one change
		return last, 0, 0, err
	}
	if complete == 0 {
		return last, 0, j.size, nil
	}
	end := complete - 1
	start, err := j.lineStart(end, maxLine)
	if err != nil {
		return last, 0, 0, err
	}
	text := make([]byte, end-start)
	if _, err := j.file.ReadAt(text, start); err != nil {
		return last, 0, 0, durable.Fault(j.path, err)
	}
	last, ok := parseLine(text)
	if !ok {
		return last, 0, 0, io.ErrUnexpectedEOF
	}
	return last, complete, j.size - complete, nil
}

// lineStart is where the line begins that goes up to end: after the last line break in front of it. io.ErrUnexpectedEOF where the line has
// more than most bytes.
func (j *journal) lineStart(end, most int64) (int64, error) {
	block := make([]byte, 64<<10)
	for at := end; at > 0; {
		step := min(at, int64(len(block)))
		at -= step
		if _, err := j.file.ReadAt(block[:step], at); err != nil {
			return 0, durable.Fault(j.path, err)
		}
		i := bytes.LastIndexByte(block[:step], '\n')
		if start := at + int64(i) + 1; end-start > most {
			return 0, io.ErrUnexpectedEOF
		} else if i >= 0 {
			return start, nil
		}
	}
	return 0, nil
}

// logReader gives the complete lines of a log in order.
type logReader struct {
	lines *bufio.Reader
	read  int64 // bytes of the lines so far
	ended bool  // what a host adds later is not read
	torn  bool  // the last line has no end
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
	for !l.ended {
		part, err := l.lines.ReadSlice('\n')
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) && len(line) <= maxLine {
			continue
		}
		if errors.Is(err, io.EOF) {
			l.ended, l.torn = true, len(line) > 0
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		l.read += int64(len(line))
		return bytes.TrimSuffix(line, []byte{'\n'}), nil
	}
	return nil, io.EOF
}
