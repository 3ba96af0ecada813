package main

import (
	"bytes"
	"fmt"
	"os"
)

// The generated part of a page stands between these lines.
const (
	begin = "<!-- gate-bench: begin -->\n"
	end   = "<!-- gate-bench: end -->\n"
)

// rewrite replaces the generated part of a page.
func rewrite(path string, part []byte) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	from, to := bytes.Index(page, []byte(begin)), bytes.Index(page, []byte(end))
	if from < 0 || to < from {
		return fmt.Errorf("%s has no part to be written: it begins after the line %q and ends before the line %q", path, begin, end)
	}
	from += len(begin)
	out := append(bytes.Clone(page[:from]), '\n')
	out = append(append(out, part...), '\n')
	return os.WriteFile(path, append(out, page[to:]...), 0o644)
}
