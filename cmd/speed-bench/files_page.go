package main

import (
	"fmt"
	"io"
)

// fileRows are the rows of the table, and what each is held against.
var fileRows = []struct{ name, against string }{
	{copyCached, ""}, {mergeCached, copyCached}, {firstCached, copyCached}, {checkMerge, mergeCached}, {torchCached, mergeCached},
	{peftCached, mergeCached}, {copyCold, ""}, {mergeCold, copyCold}, {firstCold, copyCold},
}

// printFiles writes the page's part about checkpoints on disk.
func printFiles(w io.Writer, r *fileResult) {
	fmt.Fprintf(w, "### Goals\n\n")
	printGoals(w, fileGoals(r))
	fmt.Fprintf(w, "\n### Runs\n\nA BF16 checkpoint of %.2f GB in %d shards (hidden %d, intermediate %d, layers %d), an adapter of rank %d for every "+
		"linear module.",
		float64(r.bytes)/1e9, shards, r.shapes.hidden, r.shapes.intermediate, r.shapes.layers, adapterRank)
	if r.how != "" {
		fmt.Fprintf(w, " Cold: after %s.", r.how)
	}
	fmt.Fprintf(w, "\n\n| | s to fsync | GB/s | s to its end | largest process, MiB | all processes, MiB | against |\n|---|---:|---:|---:|---:|---:|---|\n")
	for _, row := range fileRows {
		if why := r.missing[row.name]; why != "" {
			fmt.Fprintf(w, "| %s | %s | | | | | |\n", row.name, why)
			continue
		}
		took := r.series(row.name, seconds)
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |", row.name, spread(took, ""), quantity(took.rate(float64(r.bytes)/1e9).median(), ""),
			quantity(r.series(row.name, func(m measured) float64 { return m.ended }).median(), ""),
			mebibytes(r.series(row.name, func(m measured) float64 { return float64(m.maxRSS) })),
			mebibytes(r.series(row.name, func(m measured) float64 { return float64(m.treeRSS) })))
		if row.against != "" {
			fmt.Fprintf(w, " %s of %s", spread(took.over(r.series(row.against, seconds)), "×"), row.against)
		}
		fmt.Fprintln(w, " |")
	}
	for _, name := range []string{torchCached, peftCached} {
		if pure := r.series(name, withoutImports); len(pure) > 0 {
			fmt.Fprintf(w, "\nWithout the time to import libraries, %s takes %s.\n", name, spread(pure, "s"))
		}
	}
}

// mebibytes is the largest of all rounds; nothing where it is not known.
func mebibytes(s series) string {
	if _, high := s.span(); high > 0 {
		return fmt.Sprintf("%.0f", high/(1<<20))
	}
	return "–"
}

// fileGoals are the goals for checkpoints on disk, with what was measured.
func fileGoals(r *fileResult) []goal {
	over := func(name, against string) series { return r.series(name, seconds).over(r.series(against, seconds)) }
	rss := func(m measured) float64 { return float64(m.maxRSS) / (1 << 20) }
	var largest series
	for _, name := range []string{mergeCached, mergeCold, firstCached, firstCold} {
		largest = append(largest, r.series(name, rss)...)
	}
	_, high := largest.span()
	return []goal{
		{what: "`tenon merge` / `cp` + fsync, cached", limit: 1.25, unit: "×", got: over(mergeCached, copyCached)},
		{what: "`tenon merge` / `cp` + fsync, cold", limit: 1.4, unit: "×", got: over(mergeCold, copyCold), missing: r.missing[mergeCold]},
		{what: "torch load + merge + save, without imports, / `tenon merge`", limit: 6, least: true, unit: "×",
			got: r.series(torchCached, withoutImports).over(r.series(mergeCached, seconds)), missing: r.missing[torchCached]},
		{what: "transformers + PEFT, without imports, / `tenon merge`", limit: 6, least: true, unit: "×",
			got: r.series(peftCached, withoutImports).over(r.series(mergeCached, seconds)), missing: r.missing[peftCached]},
		{what: "largest process of `tenon merge`, highest of all runs", limit: 512, unit: "MiB", got: series{high}},
		{what: "`tenon check` and `tenon merge` / `tenon merge` alone, cached", limit: 2.5, unit: "×", got: over(checkMerge, mergeCached)},
	}
}
