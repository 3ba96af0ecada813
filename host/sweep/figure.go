package sweep

import (
	"github.com/tenon-ml/tenon/host/figure"
	"github.com/tenon-ml/tenon/host/report"
)

// Figure draws the sweep: for each kind of weight the amplification beside that of random directions, the lift and the effective rank, then
// the results, all against the rank. Where a rank has several runs, a point is their mean.
func (s *Sweep) Figure() figure.Figure {
	var metrics []figure.SweepMetric
	var lifts, ranks []figure.Series
	for _, kind := range s.kindNames() {
		of := func(metric string) (figure.Series, string) {
			label := kind
			series := s.series(func(run *Run) (float64, bool) {
				k := run.kind(kind)
				if k == nil {
					return 0, false
				}
				label = k.Label
				v, ok := k.Medians[metric]
				return float64(v), ok
			})
			return series, label
		}
		measured, label := of("amplification")
		measured.Name = label
		random, _ := of("amplification_random")
		random.Name, random.Null = "random directions", true
		metrics = append(metrics, figure.SweepMetric{Name: "amplification of " + label, Series: []figure.Series{measured, random}, Log: true})
		lift, _ := of("alignment_lift")
		lift.Name = label
		effective, _ := of("effective_rank")
		effective.Name = label
		lifts, ranks = append(lifts, lift), append(ranks, effective)
	}
	if len(lifts) > 0 {
		chance := s.series(func(*Run) (float64, bool) { return 1, true })
		chance.Name, chance.Null = "random directions", true
		metrics = append(metrics, figure.SweepMetric{Name: "lift over random directions", Series: append(lifts, chance)},
			figure.SweepMetric{Name: "effective rank of ΔW", Series: ranks})
	}
	for _, column := range s.Columns {
		results := s.series(func(run *Run) (float64, bool) {
			v, ok := run.Evaluation[column]
			return v, ok
		})
		results.Name = report.Escape(column)
		metrics = append(metrics, figure.SweepMetric{Name: results.Name, Series: []figure.Series{results}})
	}
	return figure.RankSweep(metrics)
}

// series is a number against the rank: the mean over the runs of each rank that have it.
func (s *Sweep) series(value func(*Run) (float64, bool)) figure.Series {
	var out figure.Series
	for _, rank := range s.ranks() {
		var values []float64
		for i := range s.Runs {
			if v, ok := value(&s.Runs[i]); ok && s.Runs[i].Rank == rank {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			out.X, out.Y = append(out.X, float64(rank)), append(out.Y, mean(values))
		}
	}
	return out
}
