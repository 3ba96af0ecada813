package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// printMemory writes the page's part about merges in memory.
func printMemory(w io.Writer, m *memoryResult) {
	fmt.Fprintf(w, "### Goals\n\n")
	printGoals(w, memoryGoals(m))
	fmt.Fprintf(w, "\n### The machine's limits\n\n| | 1 thread | %d threads |\n|---|---:|---:|\n", m.workers)
	titles := map[string]string{"copy": "copy, bytes read and written", "fma32": "f32 FMA in registers", "fma64": "f64 FMA in registers"}
	for _, l := range m.limits {
		fmt.Fprintf(w, "| %s | %s | %s |\n", titles[l.name], spread(l.one, l.unit), spread(l.all, l.unit))
	}
	fmt.Fprintf(w, "\nFMA by %s; Tenon chooses %s.\n", m.about["limit"], m.about["implementation"])
	for _, dtype := range dtypes {
		cases := slices.DeleteFunc(slices.Clone(m.cases), func(c memoryCase) bool { return c.dtype != dtype })
		if len(cases) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n### Merge of one %d×%d %v matrix, adapters f32, %d threads\n\n", size, size, dtype, m.workers)
		printCases(w, m, cases)
	}
}

func printCases(w io.Writer, m *memoryResult, cases []memoryCase) {
	head, line := "| ms |", "|---|"
	for _, c := range cases {
		head, line = head+fmt.Sprintf(" r = %d |", c.rank), line+"---:|"
	}
	fmt.Fprintf(w, "%s\n%s\n", head, line)
	row := func(title, unit string, of func(c memoryCase) series) {
		fmt.Fprintf(w, "| %s |", title)
		for _, c := range cases {
			fmt.Fprintf(w, " %s |", spread(of(c), unit))
		}
		fmt.Fprintln(w)
	}
	for _, name := range names() {
		if why := m.missing[name]; why != "" {
			fmt.Fprintf(w, "| %s |%s\n", name, strings.Repeat(" "+why+" |", len(cases)))
			continue
		}
		row(name, "", func(c memoryCase) series { return c.seconds[name].times(1e3) })
	}
	row(limitCopy, "", func(c memoryCase) series { return c.seconds[limitCopy].times(1e3) })
	row(limitFMA, "", func(c memoryCase) series { return c.seconds[limitFMA].times(1e3) })
	for _, name := range []string{peftPlain, peftTuned, numpyName} {
		row("**"+name+" / Tenon**", "×", func(c memoryCase) series { return c.seconds[name].over(c.seconds[tenonBest]) })
	}
	row("**Tenon / limit**", "×", memoryCase.overLimit)
	row("**1 thread / all**", "×", func(c memoryCase) series { return c.seconds[tenonOne].over(c.seconds[tenonBest]) })
	if _, ok := cases[0].seconds[implementationName("avx512")]; ok {
		row("**speed of avx2 / avx512**", "×", memoryCase.narrow)
	}
}

// names are the rows of merges.
func names() []string {
	all := []string{tenonBest, tenonOne}
	for _, name := range implementations() {
		all = append(all, implementationName(name))
	}
	return append(all, peftPlain, peftTuned, numpyName)
}

// overLimit is how many times the machine's limit Tenon takes.
func (c memoryCase) overLimit() series {
	return c.seconds[tenonBest].over(c.seconds[limitCopy].atLeast(c.seconds[limitFMA]))
}

// narrow is AVX2's speed as a part of AVX-512's.
func (c memoryCase) narrow() series {
	return c.seconds[implementationName("avx512")].over(c.seconds[implementationName("avx2")])
}

// memoryGoals are the goals for merges in memory, with what was measured.
func memoryGoals(m *memoryResult) []goal {
	of := func(rank int, figure func(memoryCase) series) series {
		for _, c := range m.cases {
			if c.dtype == tensor.BF16 && c.rank == rank {
				return figure(c)
			}
		}
		return nil
	}
	peer := func(name string) func(memoryCase) series {
		return func(c memoryCase) series { return c.seconds[name].over(c.seconds[tenonBest]) }
	}
	var goals []goal
	for i, plain := range []float64{25, 25, 8, 2.8} {
		goals = append(goals, goal{what: fmt.Sprintf("PEFT / Tenon, BF16, r = %d", ranks[i]), limit: plain, least: true, unit: "×",
			got: of(ranks[i], peer(peftPlain)), missing: m.missing[peftPlain]})
	}
	for i, tuned := range []float64{8, 8, 3, 1.4} {
		goals = append(goals, goal{what: fmt.Sprintf("PEFT with tuned malloc / Tenon, BF16, r = %d", ranks[i]), limit: tuned, least: true, unit: "×",
			got: of(ranks[i], peer(peftTuned)), missing: m.missing[peftTuned]})
	}
	for i, limit := range []float64{1.5, 1.5, 1.25, 1.15} {
		goals = append(goals, goal{what: fmt.Sprintf("Tenon / limit, BF16, r = %d", ranks[i]), limit: limit, unit: "×",
			got: of(ranks[i], memoryCase.overLimit)})
	}
	wide := m.missing[implementationName("avx512")]
	for i, part := range []float64{60, 0, 90, 90} {
		if part > 0 {
			goals = append(goals, goal{what: fmt.Sprintf("speed of AVX2 / AVX-512, BF16, r = %d", ranks[i]), limit: part, least: true, unit: "%",
				got: of(ranks[i], memoryCase.narrow).times(100), missing: wide})
		}
	}
	for _, rank := range ranks[2:] {
		goals = append(goals, goal{what: fmt.Sprintf("1 thread / %d threads, BF16, r = %d", m.workers, rank), limit: 1.7, least: true, unit: "×",
			got: of(rank, func(c memoryCase) series { return c.seconds[tenonOne].over(c.seconds[tenonBest]) })})
	}
	return goals
}
