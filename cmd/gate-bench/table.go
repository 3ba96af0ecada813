package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// printAll writes the page: the adapters without a fault, the faults, what was missed, and the numbers that limits are set on.
func printAll(w io.Writer, subjects []*subject, planted []fault, trials []trial, wanted [arms]bool) {
	fmt.Fprintf(w, "### Adapters without a fault\n\n")
	printBenign(w, subjects)
	var probed, others []trial
	for _, t := range trials {
		if t.subject.probe != "" {
			probed = append(probed, t)
		} else {
			others = append(others, t)
		}
	}
	if len(probed) > 0 {
		fmt.Fprintf(w, "\n### Planted faults\n\n")
		printSummary(w, probed, wanted)
		printFaults(w, planted, probed, wanted)
	}
	if len(others) > 0 {
		fmt.Fprintf(w, "\n### Planted faults, where no model can be asked\n\n")
		printFaults(w, planted, others, [arms]bool{unasked: true})
	}
	fmt.Fprintf(w, "\n### Planted, and nothing changed\n\n")
	printUnchanged(w, planted, probed)
	for a := arms - 1; a >= 0; a-- {
		if wanted[a] && slices.ContainsFunc(probed, func(t trial) bool { return t.results[a].judged() }) {
			fmt.Fprintf(w, "\n### Missed in arm (%v)\n\n", a)
			printMissed(w, planted, probed, a)
		}
	}
	fmt.Fprintf(w, "\n### The numbers that limits are set on\n\n")
	printNumbers(w, subjects, planted, trials)
}

// tally sums up trials.
type tally struct{ n, denied, found int }

func (t *tally) add(r result) {
	if !r.judged() {
		return
	}
	t.n++
	if r.found() {
		t.found++
		if !r.verdict.Open() {
			t.denied++
		}
	}
}

func (t tally) text() string {
	if t.n == 0 {
		return "–"
	}
	return fmt.Sprintf("%d of %d (%d)", t.found, t.n, t.denied)
}

// printSummary writes the share of all faults that is found in each arm, of those that change something.
func printSummary(w io.Writer, trials []trial, wanted [arms]bool) {
	words := [arms]string{"without a probe", "with a probe file", "with a probe file that records likelihoods"}
	for a := range arms {
		var sum tally
		for _, t := range trials {
			if !t.unchanged {
				sum.add(t.results[a])
			}
		}
		if wanted[a] && sum.n > 0 {
			fmt.Fprintf(w, "- (%v) %s: %d of %d faults are found with the right reason (%.0f %%), %d of them are denied.\n",
				a, words[a], sum.found, sum.n, 100*float64(sum.found)/float64(sum.n), sum.denied)
		}
	}
	fmt.Fprintln(w)
}

// printFaults writes how often each kind of fault is found for the right reason, of those that change something.
func printFaults(w io.Writer, planted []fault, trials []trial, wanted [arms]bool) {
	head, line := "| fault | what is wrong |", "|---|---|"
	for a := range arms {
		if wanted[a] {
			head, line = head+fmt.Sprintf(" (%v) |", a), line+"---:|"
		}
	}
	fmt.Fprintf(w, "%s reasons given |\n%s---|\n", head, line)
	for _, f := range planted {
		var sums [arms]tally
		var reasons []string
		any := false
		for _, t := range trials {
			if t.fault.kind != f.kind || t.unchanged {
				continue
			}
			any = true
			for a := range arms {
				sums[a].add(t.results[a])
				reasons = append(reasons, t.results[a].reasons...)
			}
		}
		if !any {
			continue
		}
		fmt.Fprintf(w, "| `%s` | %s |", f.kind, f.what)
		for a := range arms {
			if wanted[a] {
				fmt.Fprintf(w, " %s |", sums[a].text())
			}
		}
		fmt.Fprintf(w, " %s |\n", list(reasons))
	}
}

// list is each word once, sorted.
func list(words []string) string {
	words = slices.Clone(words)
	slices.Sort(words)
	return strings.Join(slices.Compact(words), ", ")
}

// printUnchanged lists what was planted and did nothing to the merged model, as far as it was asked: nobody finds that in what it says.
func printUnchanged(w io.Writer, planted []fault, trials []trial) {
	printList(w, planted, trials, "told all the same", "Nothing.", func(t trial) (others []string, listed bool) {
		for _, r := range t.results {
			others = append(append(others, r.reasons...), r.others...)
		}
		return others, t.unchanged
	})
}

// printMissed lists every planted fault that changes something and that nothing right was said about in an arm.
func printMissed(w io.Writer, planted []fault, trials []trial, a arm) {
	printList(w, planted, trials, "told instead", "None.", func(t trial) (others []string, listed bool) {
		r := t.results[a]
		return r.others, !t.unchanged && r.judged() && !r.found()
	})
}

// printList writes, for each kind of fault, the adapters of the trials that are listed and what was told of them; or none, where there are none.
func printList(w io.Writer, planted []fault, trials []trial, label, none string, of func(trial) (told []string, listed bool)) {
	any := false
	for _, f := range planted {
		var names, said []string
		for _, t := range trials {
			if told, listed := of(t); listed && t.fault.kind == f.kind {
				names, said = append(names, t.subject.name), append(said, told...)
			}
		}
		if len(names) == 0 {
			continue
		}
		any = true
		fmt.Fprintf(w, "- `%s` in %s", f.kind, strings.Join(names, ", "))
		if len(said) > 0 {
			fmt.Fprintf(w, "; %s: %s", label, list(said))
		}
		fmt.Fprintln(w)
	}
	if !any {
		fmt.Fprintln(w, none)
	}
}

// printBenign writes what the gate says of adapters with nothing wrong, and the share that it denies.
func printBenign(w io.Writer, subjects []*subject) {
	fmt.Fprintf(w, "| adapter | base | (a) | (b) | (c) | findings |\n|---|---|---|---|---|---|\n")
	var denied, trained int
	for _, s := range subjects {
		name, where := s.name, "yes"
		if s.base == "" {
			where = "no"
		}
		var codes []string
		verdicts := make([]string, arms)
		open := true
		for a, o := range s.benign.by {
			verdicts[a] = "–"
			if o.verdict != "" {
				verdicts[a] = string(o.verdict)
				open = open && o.verdict.Open()
			}
			codes = append(codes, o.codes...)
		}
		if s.trained {
			trained++
			if !open {
				denied++
			}
		} else {
			name += " (random numbers)"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", name, where, strings.Join(verdicts, " | "), list(codes))
	}
	fmt.Fprintf(w, "\n%d of %d trained adapters without a fault are denied in any arm.\n", denied, trained)
}

// span is the range of a number.
type span struct {
	n         int
	low, high float64
}

func (s *span) add(v float64) {
	if s.n == 0 {
		s.low, s.high = v, v
	}
	s.n++
	s.low, s.high = math.Min(s.low, v), math.Max(s.high, v)
}

func (s span) text() string {
	if s.n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g … %.3g", s.low, s.high)
}

// printNumbers writes what range the numbers have that rules hold against limits, over trained adapters and over each kind of fault.
func printNumbers(w io.Writer, subjects []*subject, planted []fault, trials []trial) {
	fmt.Fprintf(w, "| | largest `%s` |\n|---%s|\n", strings.Join(limited, "` | `"), strings.Repeat("|---:", len(limited)))
	row := func(title string, all []map[string]float64) {
		fmt.Fprintf(w, "| %s |", title)
		for _, name := range limited {
			var s span
			for _, numbers := range all {
				if v, ok := numbers[name]; ok {
					s.add(v)
				}
			}
			fmt.Fprintf(w, " %s |", s.text())
		}
		fmt.Fprintln(w)
	}
	var benign []map[string]float64
	for _, s := range subjects {
		if s.trained && s.base != "" {
			benign = append(benign, s.benign.numbers)
		}
	}
	row("no fault", benign)
	for _, f := range planted {
		var all []map[string]float64
		for _, t := range trials {
			if t.fault.kind == f.kind && t.subject.trained && len(t.numbers) > 0 {
				all = append(all, t.numbers)
			}
		}
		if len(all) > 0 && f.with == nil {
			row("`"+f.kind+"`", all)
		}
	}
}
