package evaluation

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/fault"
)

// Limits on what is read: far above any test set, and low enough that a wrong file is refused before it costs much.
const (
	maxFile = 256 << 20 // bytes
	maxLine = 64 << 10  // bytes; ROUGE-L takes time quadratic in a line's length
)

// Line is a line without its end and without white space around it.
type Line struct {
	Number int // from 1, as an editor counts them: only line feeds count
	Text   string
}

// Segment is one prediction and its references, of which there is at least one.
type Segment struct {
	Prediction Line
	References []Line
}

// Corpus is what is scored together.
type Corpus struct {
	PredictionFile, ReferenceFile string // paths as the user wrote them
	Segments                      []Segment
}

// Read reads predictions, one a line, and references: groups of lines separated by one blank line, in the order of the predictions. An
// empty line of the predictions is an empty prediction. The errors are fault.Error; a different number of predictions and of groups is
// one of them.
func Read(predictionFile, referenceFile string) (*Corpus, error) {
	predictions, predictionErr := readLines(predictionFile)
	references, referenceErr := readLines(referenceFile)
	if err := errors.Join(predictionErr, referenceErr); err != nil {
		return nil, err
	}
	groups, err := group(referenceFile, references)
	if err != nil {
		return nil, err
	}
	if len(predictions) != len(groups) {
		return nil, fault.New(fault.UsageFlag, "%d predictions, but %s has references for %d", len(predictions), referenceFile, len(groups)).
			In(predictionFile).Fix("give one prediction a line, and one blank line between two groups of references; a line also ends at \\r, \\v, \\f, " +
			"U+001C to U+001E, U+0085, U+2028 and U+2029")
	}
	if len(groups) == 0 {
		return nil, fault.New(fault.UsageFlag, "there are no segments to score").In(predictionFile)
	}
	corpus := &Corpus{PredictionFile: predictionFile, ReferenceFile: referenceFile}
	for i, p := range predictions {
		corpus.Segments = append(corpus.Segments, Segment{p, groups[i]})
	}
	return corpus, nil
}

// group splits lines at blank ones. A blank line at the very end closes the last group; two in a row would be a segment that nothing can
// be compared with, which is refused.
func group(file string, lines []Line) ([][]Line, error) {
	var groups [][]Line
	var current []Line
	for _, line := range lines {
		switch {
		case line.Text != "":
			current = append(current, line)
		case len(current) == 0:
			return nil, fault.New(fault.UsageFlag, "line %d: a blank line where a reference must be", line.Number).
				In(file).Fix("separate two groups by exactly one blank line")
		default:
			groups, current = append(groups, current), nil
		}
	}
	if len(current) > 0 {
		groups = append(groups, current)
	}
	return groups, nil
}

func readLines(path string) ([]Line, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".tsv", ".csv":
		return nil, fault.New(fault.UsageFlag, "a table is not read, only plain text").In(path).Fix("write one segment a line, without other columns")
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.IONotFound, "the file does not exist").In(path)
	} else if err != nil {
		return nil, fault.New(fault.IORead, "the file cannot be opened").In(path).Wrap(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fault.New(fault.IORead, "the file cannot be read").In(path).Wrap(err)
	}
	if len(data) > maxFile {
		return nil, fault.New(fault.UsageFlag, "the file is larger than %d MiB", maxFile>>20).In(path).Fix("score it in parts")
	}
	return splitLines(path, string(data))
}

// splitLines ends lines where Python's text reader does, which is in more places than at line feeds: a segment with U+0085 or U+2028 in
// it is two.
func splitLines(path, data string) ([]Line, error) {
	var lines []Line
	number, start := 1, 0
	end := func(at int) error {
		if at-start > maxLine {
			return fault.New(fault.UsageFlag, "line %d: it is longer than %d KiB", number, maxLine>>10).In(path).Fix("give one segment a line")
		}
		lines = append(lines, Line{number, strings.TrimFunc(data[start:at], space)})
		return nil
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRuneInString(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return nil, fault.New(fault.IORead, "line %d is not UTF-8", number).In(path).AtByte(int64(i)).Fix("convert the file to UTF-8")
		case lineEnd(r):
			if err := end(i); err != nil {
				return nil, err
			}
			if r == '\r' && strings.HasPrefix(data[i+1:], "\n") {
				size++
				r = '\n'
			}
			if r == '\n' {
				number++
			}
			start = i + size
		}
		i += size
	}
	if start < len(data) {
		if err := end(len(data)); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

func lineEnd(r rune) bool {
	switch r {
	case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

// space is white space as Python has it: Unicode's, and the four ASCII separators.
func space(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }
