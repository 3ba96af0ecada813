package base

// maxEdits is how far a name may be from what was meant, in insertions, deletions, changes and swaps of neighbours.
const maxEdits = 4

// Nearest returns the name of the tensor that name was probably meant to be: the closest one, within a few edits. Where several are as
// close, it is the first by name.
func (b *Base) Nearest(name string) (string, bool) {
	best, found := "", false
	limit := min(maxEdits, max(1, len(name)/4))
	for _, t := range b.Tensors {
		if d := edits(name, t.Name, limit); d <= limit {
			best, found = t.Name, true
			if d == 0 {
				break
			}
			limit = d - 1
		}
	}
	return best, found
}

// edits is the restricted Damerau-Levenshtein distance of two names in bytes, or limit+1 where it exceeds limit.
func edits(a, b string, limit int) int {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	rows := make([]int, 3*(len(b)+1))
	before, last, row := rows[:len(b)+1], rows[len(b)+1:2*(len(b)+1)], rows[2*(len(b)+1):]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		// A cell further than limit from the diagonal holds more than limit, so only those nearer are computed, and the next ones set.
		from, to := max(1, i-limit), min(len(b), i+limit)
		row[from-1] = limit + 1
		if from == 1 {
			row[0] = i
		}
		least := i
		if i+limit <= len(b) {
			last[i+limit] = limit + 1
		}
		for j := from; j <= to; j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > limit+1 { // a swap may reach back over a row that is one too high
			return limit + 1
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit+1)
}
