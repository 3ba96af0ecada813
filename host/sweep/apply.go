package sweep

import (
	"maps"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// apply gives each run its results. Records of adapters that are not in the sweep are left out; that none of them is, or that two records
// contradict each other, is an error, and so is a rank for which there are several runs: whose result it is would be a guess.
func (e *Evaluation) apply(runs []Run) error {
	used := false
	for _, r := range e.records {
		run, err := r.find(runs)
		if err != nil {
			return err
		}
		if run == nil {
			continue
		}
		used = true
		for _, column := range slices.Sorted(maps.Keys(r.values)) {
			if old, twice := run.Evaluation[column]; twice && old != r.values[column] {
				return refuse(r.file, r.pointer, "%s of %s is %v here and %v in another record", column, run.Name, r.values[column], old)
			}
			run.Evaluation[column] = r.values[column]
		}
	}
	if used || len(e.records) == 0 {
		return nil
	}
	var have, want []string
	for _, r := range e.records[:min(len(e.records), 5)] {
		have = append(have, r.String())
	}
	for _, run := range runs[:min(len(runs), 5)] {
		want = append(want, run.Name)
	}
	return fault.New(fault.UsageFlag, "the results are of %s, and none of these is an adapter of the sweep", strings.Join(have, ", ")).
		In(e.records[0].file).Fix("call them by the names of the adapters: %s", strings.Join(want, ", "))
}

// find is the run that a record is about, nil where there is none.
func (r *record) find(runs []Run) (*Run, error) {
	var found *Run
	for i := range runs {
		run := &runs[i]
		switch {
		case r.name != "" && r.name != run.Name && r.name != run.Ref && name(r.name) != run.Name:
			continue
		case r.name == "" && r.rank != run.Rank:
			continue
		case found != nil:
			return nil, refuse(r.file, r.pointer, "the results of %s could be those of %s or of %s", r, found.Name, run.Name).
				Fix("call them by the name of the adapter")
		}
		found = run
	}
	return found, nil
}

// String names what a record is about.
func (r *record) String() string {
	if r.name != "" {
		return r.name
	}
	return rankText(r.rank)
}
