// Package places counts weights for a sentence that names one of them.
package places

import "strconv"

// Places are weights, of which the first is named.
type Places struct {
	Count int
	First string
}

// Add counts one more.
func (p *Places) Add(name string) {
	if p.Count == 0 {
		p.First = name
	}
	p.Count++
}

// Of says how many of all, which noun tells, and names one: "2 of the 7 weights that both adapt (q is one)" for the noun "the 7 weights that
// both adapt".
func (p *Places) Of(all int, before, noun string) string {
	return strconv.Itoa(p.Count) + " of " + before + strconv.Itoa(all) + " " + noun + " (" + p.First + " is one)"
}
