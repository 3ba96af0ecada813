package main

import (
	"fmt"
	"io"
)

// printDecode writes the page's part about text.
func printDecode(w io.Writer, r *decodeResult) {
	fmt.Fprintf(w, "### Goals\n\n")
	printGoals(w, decodeGoals(r))
	s := r.shapes
	fmt.Fprintf(w, "\n### Tokens per second\n\nA BF16 Llama of %.2f GB (hidden %d, intermediate %d, heads %d of which %d have keys and values, layers %d, "+
		"vocabulary %d).",
		float64(r.bytes+2*int64(s.vocab*s.hidden))/1e9, s.hidden, s.intermediate, s.heads, s.kvHeads, s.layers, s.vocab)
	if r.missing == "" {
		fmt.Fprintf(w, " Log-probabilities of the likeliest tokens lie at most %.3f apart.", r.apart)
	}
	fmt.Fprintf(w, "\n\n| | Tenon | llama.cpp | Tenon / llama.cpp | Tenon / limit |\n|---|---:|---:|---:|---:|\n")
	for _, c := range decodeCases {
		tenon, llama := r.tenon[c], r.llama[c]
		limit := r.memory.times(float64(c.streams) * 1e9 / float64(r.bytes))
		if c.streams == 1 {
			reading := r.fma.times(1e9 / (2 * float64(s.parameters()-int64(s.vocab*s.hidden)))) // the head is asked once
			decodeRow(w, fmt.Sprintf("prompt of %d tokens", c.prompt), tenon.prefill, llama.prefill, reading, r.missing)
		}
		what := fmt.Sprintf("%d texts at once, each after %d tokens", c.streams, c.prompt)
		if c.streams == 1 {
			what = fmt.Sprintf("one text, after %d tokens", c.prompt)
		}
		decodeRow(w, what, tenon.decode, llama.decode, atMost(limit, r.fma.times(1e9/(2*float64(s.parameters())))), r.missing)
	}
	fmt.Fprintf(w, "\nThe limit: %s of copying, of %.3f GB for each step, and %s.\n", spread(r.memory, "GB/s"), float64(r.bytes)/1e9,
		spread(r.fma, "GFLOP/s"))
}

func decodeRow(w io.Writer, what string, tenon, llama, limit series, missing string) {
	if missing != "" {
		fmt.Fprintf(w, "| %s | %s | %s | – | %s |\n", what, spread(tenon, ""), missing, spread(tenon.over(limit), "×"))
		return
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", what, spread(tenon, ""), spread(llama, ""), spread(tenon.over(llama), "×"),
		spread(tenon.over(limit), "×"))
}

// atMost is the smaller of both, round by round.
func atMost(s, t series) series {
	out := s.times(1)
	for i := range out {
		out[i] = min(s[i], t[i])
	}
	return out
}

// decodeGoals are the goals for text, with what was measured.
func decodeGoals(r *decodeResult) []goal {
	one := decodeCases[0]
	return []goal{
		{what: "Tenon / llama.cpp, one text, tokens/s", limit: 0.8, least: true, unit: "×", got: r.tenon[one].decode.over(r.llama[one].decode),
			missing: r.missing},
		{what: fmt.Sprintf("Tenon / llama.cpp, prompt of %d tokens", one.prompt), limit: 0.6, least: true, unit: "×",
			got: r.tenon[one].prefill.over(r.llama[one].prefill), missing: r.missing},
	}
}
