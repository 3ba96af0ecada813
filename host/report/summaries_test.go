package report

import (
	"slices"
	"testing"
)

// The captions name as many of the base's directions as were looked at, and promise no more than that.
func TestBaseDirections(t *testing.T) {
	size := joined(each("phi_base_11_null", 1.0/64, 1.0/4096), each("phi_base_left_11_null", 1.0/64, 1.0/4096))
	for name, c := range map[string]struct {
		title     string
		metrics   []Metric
		want, not []string
	}{
		"overlap":       {"Overlap with the base by kind of weight", each("phi_base_rank", 7, 7), []string{"W's 7 strongest"}, []string{"tenth"}},
		"many overlaps": {"Overlap with the base by kind of weight", each("phi_base_rank", 410, 7), []string{"W's 7 to 410 strongest"}, nil},
		"no overlap":    {"Overlap with the base by kind of weight", nil, []string{"W's strongest"}, nil},
		"new":           {"New directions by kind of weight", joined(size, each("intruders_base_rank", 64, 4096)), []string{"the base's 64 to 4096 directions"}, []string{"at most"}},
		"at most":       {"New directions by kind of weight", joined(size, each("intruders_base_rank", 64, 512)), []string{"at most how many", "64 to 512 strongest"}, nil},
		"unknown size":  {"New directions by kind of weight", each("intruders_base_rank", 64), []string{"at most how many"}, nil},
		"outliers":      {"Outliers by kind of weight", nil, []string{"9–21 %"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			all := summaries(&Report{Metrics: c.metrics})
			i := slices.IndexFunc(all, func(s summary) bool { return s.title == c.title })
			if i < 0 {
				t.Fatal("no such table")
			}
			holds(t, all[i].foot, c.want, c.not)
		})
	}
}
