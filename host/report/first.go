package report

// First is the finding that people are told first of a report that is not open: one that closed the gate, Tenon's own before those of strangers'
// modules. Where there is none it is the zero value.
func First(r *Report) Finding {
	for _, of := range []*Report{Own(r), r} {
		for _, f := range of.Findings {
			if f.Severity == DenySeverity {
				return f
			}
		}
	}
	return Finding{}
}
