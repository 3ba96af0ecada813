package probe

import (
	"bufio"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// maxLines bounds how many lines a file of texts may have, maxLine how long one may be.
const (
	maxLines = 1 << 20
	maxLine  = 1 << 20
)

// separator stands between what a text is about and the text, in the E2E data and what is made like them.
const separator = "||"

// ReadTexts reads one text a line, which is scored as a whole, or "meaning||text", of which the meaning is read and the text is scored. Blank
// lines are left out; each text is named by its line. White space around either part does not count: the model reads "meaning || text".
func ReadTexts(path string) ([]Text, error) {
	var texts []Text
	err := readLines(path, func(number int, line string) {
		t := Text{ID: "line " + strconv.Itoa(number), Text: line}
		if meaning, text, ok := strings.Cut(line, separator); ok {
			t.Prompt, t.Text = prompt(meaning), " "+strings.TrimSpace(text)
		}
		texts = append(texts, t)
	})
	return texts, err
}

// ReadPrompts reads the prompts of such a file, each once, in the order in which they first come: "meaning ||" of a line that has the
// separator, and the whole line of one that has not.
func ReadPrompts(path string) ([]string, error) {
	var prompts []string
	seen := map[string]bool{}
	err := readLines(path, func(_ int, line string) {
		if meaning, _, ok := strings.Cut(line, separator); ok {
			line = prompt(meaning)
		}
		if !seen[line] {
			seen[line] = true
			prompts = append(prompts, line)
		}
	})
	return prompts, err
}

func prompt(meaning string) string {
	return strings.TrimSpace(strings.TrimSpace(meaning) + " " + separator)
}

// readLines gives each line that is not blank, without white space around it, with its number from 1.
func readLines(path string, give func(number int, line string)) error {
	f, err := reference.OpenRegular(path, true)
	if err != nil {
		return err
	}
	defer f.Close()
	given, number := 0, 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		number++
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "":
			continue
		case !utf8.ValidString(line):
			return fault.New(fault.UsageFlag, "line %d is not UTF-8", number).In(path).Fix("convert the file to UTF-8")
		case given == maxLines:
			return fault.New(fault.UsageFlag, "more than %d lines", maxLines).In(path).Fix("take a part of it")
		}
		given++
		give(number, line)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fault.New(fault.UsageFlag, "line %d has more than %d bytes", number+1, maxLine).In(path).Fix("give one text a line")
	case err != nil:
		return fault.New(fault.IORead, "it cannot be read").In(path).Wrap(err)
	case given == 0:
		return fault.New(fault.UsageFlag, "there is no line with text in it").In(path).Fix("give one text a line")
	}
	return nil
}
