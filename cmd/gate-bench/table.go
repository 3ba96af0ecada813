package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/report"
)

// tally sums up the trials of one kind.
type tally struct{ n, denied, warned, found int }

func (t *tally) add(r result) {
	t.n++
	switch {
	case !r.verdict.Open():
		t.denied++
	case len(r.reasons)+len(r.others) > 0:
		t.warned++
	}
	if r.found() {
		t.found++
	}
}

func (t tally) text() string {
	return fmt.Sprintf("%d/%d (%d denied)", t.found, t.n, t.denied)
}

// printFaults writes how often each kind of fault is found for the right reason.
func printFaults(w io.Writer, trials []trial) {
	fmt.Fprintf(w, "| fault | what is wrong | found, no probe | found, with a probe | reasons given |\n|---|---|---:|---:|---|\n")
	for _, f := range faults {
		var plain, probed tally
		var reasons []string
		for _, t := range trials {
			if t.fault.kind != f.kind {
				continue
			}
			plain.add(t.plain)
			probed.add(t.probed)
			for _, code := range append(slices.Clone(t.plain.reasons), t.probed.reasons...) {
				if !slices.Contains(reasons, code) {
					reasons = append(reasons, code)
				}
			}
		}
		slices.Sort(reasons)
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s |\n", f.kind, f.what, plain.text(), probed.text(), strings.Join(reasons, ", "))
	}
}

// printMissed lists every planted fault that changes behaviour and that nothing was said about.
func printMissed(w io.Writer, trials []trial) {
	var lines []string
	for _, t := range trials {
		if t.fault.harmful && !t.probed.found() {
			lines = append(lines, fmt.Sprintf("| `%s` | %s | %s | %s |", t.fault.kind, t.adapter, t.probed.verdict, strings.Join(t.probed.others, ", ")))
		}
	}
	if len(lines) == 0 {
		fmt.Fprintf(w, "None: every planted fault that changes what the model does was denied or warned of, with the right reason.\n")
		return
	}
	fmt.Fprintf(w, "| fault | adapter | verdict | other findings |\n|---|---|---|---|\n%s\n", strings.Join(lines, "\n"))
}

// benign is what the gate says of an adapter without a fault.
type benign struct {
	name          string
	plain, probed outcome
}

// printBenign writes what the gate says of adapters with nothing wrong, and the share that it denies.
func printBenign(w io.Writer, all []benign) {
	fmt.Fprintf(w, "| adapter | no probe | with a probe | findings |\n|---|---|---|---|\n")
	denied := 0
	for _, b := range all {
		codes := append(b.plain.codes(), b.probed.codes()...)
		slices.Sort(codes)
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", b.name, b.plain.verdict, b.probed.verdict, strings.Join(slices.Compact(codes), ", "))
		if b.plain.verdict == report.Deny || b.probed.verdict == report.Deny {
			denied++
		}
	}
	fmt.Fprintf(w, "\n%d of %d benign adapters are denied.\n", denied, len(all))
}
