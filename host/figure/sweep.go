package figure

// SweepMetric is one number against the rank, such as the amplification or a validation loss.
type SweepMetric struct {
	Name   string
	Series []Series // X holds ranks; a Null series is what chance gives
	Log    bool     // a logarithmic vertical axis
}

// RankSweep draws metrics against the rank, one panel each, with ranks on an axis of base two.
func RankSweep(metrics []SweepMetric) Figure {
	f := Figure{ID: "rank-sweep", Title: "What does a larger rank give?",
		Caption: "Each number against the rank r. Broken lines: what random directions give at that rank. A number that follows its broken line says " +
			"nothing about the adapter: the amplification of random directions falls with the rank too."}
	for _, m := range metrics {
		f.Panels = append(f.Panels, Panel{Title: m.Name, Plot: Lines{XLabel: "rank r", Series: m.Series, LogX: true, LogY: m.Log}})
	}
	return f
}
