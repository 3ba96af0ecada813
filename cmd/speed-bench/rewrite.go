package main

import (
	"bytes"
	"fmt"
	"os"
)

// rewrite replaces one generated part of a page: what stands between the lines that say where it begins and ends.
func rewrite(path, part string, text []byte) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin, end := fmt.Appendf(nil, "<!-- speed-bench %s: begin -->\n", part), fmt.Appendf(nil, "<!-- speed-bench %s: end -->\n", part)
	from, to := bytes.Index(page, begin), bytes.Index(page, end)
	if from < 0 || to < from {
		return fmt.Errorf("%s has no part to be written: it begins after the line %q and ends before the line %q", path, begin, end)
	}
	from += len(begin)
	out := append(bytes.Clone(page[:from]), '\n')
	out = append(append(out, text...), '\n')
	return os.WriteFile(path, append(out, page[to:]...), 0o644)
}
