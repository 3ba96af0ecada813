package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/evaluation"
	"github.com/tenon-ml/tenon/host/report"
)

// kindsOfPaper are the weights that the paper's runs adapt, and those of the example.
var kindsOfPaper = []string{"q_proj", "v_proj"}

// values are a metric of the weights whose name has kind in it, by layer.
func (p *paper) values(r *report.Report, name, kind string) []float64 {
	p.t.Helper()
	var out []float64
	for _, m := range r.Metrics {
		if m.Name == name && strings.Contains(m.Target, kind) {
			out = append(out, float64(m.Value))
		}
	}
	if len(out) == 0 {
		p.t.Fatalf("%s: no metric %s of %s", r.Adapter.Ref, name, kind)
	}
	return out
}

// diagonal are φ(i, i) of a grid, by layer.
func (p *paper) diagonal(r *report.Report, name, kind string, i int) []float64 {
	p.t.Helper()
	var out []float64
	for _, g := range r.Grids {
		if g.Name == name && strings.Contains(g.Target, kind) {
			out = append(out, float64(g.Values[i-1][i-1]))
		}
	}
	if len(out) == 0 {
		p.t.Fatalf("%s: no grid %s of %s", r.Adapter.Ref, name, kind)
	}
	return out
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// spanned writes a median with the least and the most.
func spanned(format string, values []float64) string {
	if len(values) == 1 {
		return fmt.Sprintf(format, values[0])
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(values), slices.Min(values), slices.Max(values))
}

// overlaps is φ of two adapters for A and both sides of ΔW: φ(1,1) with its z, φ(i,i), and φ of all directions with its z.
func (p *paper) overlaps(pair string, ranks ...int) string {
	r := p.compare[pair]
	head := []string{"directions of", "weights", "φ(1,1)", "z", "z > 5 in"}
	for _, i := range ranks[1:] {
		head = append(head, fmt.Sprintf("φ(%d,%d)", i, i))
	}
	rows := [][]string{append(head, "φ of all", "z")}
	chance := func(left bool) []string {
		of, kind, dimension := "phi_delta", "q_proj", 192
		if left {
			of, kind, dimension = "phi_delta_left", "v_proj", 96
		}
		row := []string{"chance", fmt.Sprintf("of %d", dimension), fmt.Sprintf("%.3f", median(p.values(r, of+"_11_null", kind))), "", ""}
		for _, i := range ranks[1:] {
			row = append(row, fmt.Sprintf("%.3f", float64(i)/float64(dimension)))
		}
		return append(row, fmt.Sprintf("%.3f", median(p.values(r, of+"_full_null", kind))), "")
	}
	add := func(label, of, kind string) {
		z := p.values(r, of+"_11_z", kind)
		far := 0
		for _, v := range z {
			if v > 5 {
				far++
			}
		}
		row := []string{label, kind, spanned("%.3f", p.values(r, of+"_11", kind)), fmt.Sprintf("%.1f", median(z)), fmt.Sprintf("%d of %d", far, len(z))}
		for _, i := range ranks[1:] {
			row = append(row, fmt.Sprintf("%.3f", median(p.diagonal(r, of, kind, i))))
		}
		rows = append(rows, append(row, fmt.Sprintf("%.3f", median(p.values(r, of+"_full", kind))), fmt.Sprintf("%.1f", median(p.values(r, of+"_full_z", kind)))))
	}
	for _, side := range [][2]string{{"A", "phi_a"}, {"ΔW, inputs", "phi_delta"}, {"ΔW, outputs", "phi_delta_left"}} {
		for _, kind := range kindsOfPaper {
			add(side[0], side[1], kind)
		}
	}
	add("two Gaussians", "phi_gaussian", "q_proj")
	return mdTable(append(rows, chance(false), chance(true)))
}

// start shows what a common random A does to φ of A.
func (p *paper) start() string {
	rows := [][]string{{"adapters", "φ of all A, q_proj, layer 0", "layers 1–5", "φ of all A, v_proj", "cosine of ΔW, q_proj, layer 0"}}
	for _, pair := range []string{"r8-s0 r64-s0", "r8-s0 r64-s1"} {
		r := p.compare[pair]
		a := p.values(r, "phi_a_full", "q_proj")
		rows = append(rows, []string{
			pair, fmt.Sprintf("%.3f", a[0]), spanned("%.3f", a[1:]), spanned("%.3f", p.values(r, "phi_a_full", "v_proj")),
			fmt.Sprintf("%.3f", p.values(r, "cosine", "q_proj")[0]),
		})
	}
	return mdTable(rows)
}

// spread is the effective rank of ΔW by rank.
func (p *paper) spread() string {
	rows := [][]string{{"effective rank", "r = 1", "2", "4", "8", "16", "64"}}
	for k, kind := range kindsOfPaper {
		row := []string{kind}
		for _, run := range p.sweep.Runs {
			if strings.HasSuffix(run.Name, "-s0") {
				row = append(row, fmt.Sprintf("%.1f", run.Kinds[k].Medians["effective_rank"]))
			}
		}
		rows = append(rows, row)
	}
	return mdTable(rows)
}

// base is Figure 8 in numbers: φ of W's top tenth and ΔW's first four directions.
func (p *paper) base() string {
	rows := [][]string{{"adapter", "weights", "φ, inputs", "chance", "z", "φ, outputs", "chance", "z"}}
	for _, name := range []string{"r4-s0", "r8-s0", "r64-s0"} {
		r := p.check[name]
		for _, kind := range kindsOfPaper {
			row := []string{name, kind}
			for _, of := range []string{"phi_base_top", "phi_base_left_top"} {
				row = append(row, spanned("%.3f", p.values(r, of, kind)),
					fmt.Sprintf("%.3f", median(p.values(r, of+"_null", kind))), fmt.Sprintf("%.1f", median(p.values(r, of+"_z", kind))))
			}
			rows = append(rows, row)
		}
	}
	return mdTable(rows)
}

// amplified has the columns of Table 7 for one weight in the middle of the model, beside what the paper prints and what follows from it.
func (p *paper) amplified() string {
	rows := [][]string{
		{"‖UᵀWVᵀ‖ and what follows", "here, r = 4", "here, r = 64", "paper, r = 4", "paper, r = 64"},
	}
	printed := map[string][2]string{
		"projection_norm": {"0.32", "1.90"}, "projection_norm_base": {"21.67", "37.71"}, "projection_norm_random": {"0.02", "0.33"},
		"delta_norm": {"6.91", "3.57"}, "base_norm": {"61.95", "61.95"}, "amplification": {"21.5", "about 2"},
		"amplification_random": {"343 *", "11.1 *"}, "alignment_lift": {"15.9 *", "5.9 *"}, "alignment_lift_z": {"", ""},
	}
	for _, line := range [][2]string{
		{"with ΔW's directions", "projection_norm"}, {"with W's own", "projection_norm_base"}, {"with random ones", "projection_norm_random"},
		{"‖ΔW‖", "delta_norm"}, {"‖W‖", "base_norm"}, {"amplification", "amplification"}, {"of random directions", "amplification_random"},
		{"lift", "alignment_lift"}, {"z of the lift", "alignment_lift_z"},
	} {
		row := []string{line[0]}
		for _, name := range []string{"r4-s0", "r64-s0"} {
			row = append(row, fmt.Sprintf("%.3g", p.values(p.check[name], line[1], "layers.3.self_attn.q_proj")[0]))
		}
		rows = append(rows, append(row, printed[line[1]][0], printed[line[1]][1]))
	}
	return mdTable(rows)
}

// curve is amplification against rank.
func (p *paper) curve() string {
	rows := [][]string{{"r", "run", "q_proj: amplification", "random", "lift", "v_proj: amplification", "random", "lift"}}
	for _, run := range p.sweep.Runs {
		row := []string{fmt.Sprint(run.Rank), run.Name}
		for k := range kindsOfPaper {
			for _, name := range []string{"amplification", "amplification_random", "alignment_lift"} {
				row = append(row, fmt.Sprintf("%.3g", run.Kinds[k].Medians[name]))
			}
		}
		rows = append(rows, row)
	}
	return mdTable(rows)
}

// lift is the lift with the least and the most over the layers, and its z.
func (p *paper) lift() string {
	rows := [][]string{{"adapter", "q_proj: lift", "z", "v_proj: lift", "z"}}
	for _, name := range []string{"r4-s0", "r8-s0", "r64-s0"} {
		row := []string{name}
		for _, kind := range kindsOfPaper {
			row = append(row, spanned("%.2f", p.values(p.check[name], "alignment_lift", kind)),
				fmt.Sprintf("%.1f", median(p.values(p.check[name], "alignment_lift_z", kind))))
		}
		rows = append(rows, row)
	}
	return mdTable(rows)
}

// evaluated has the shape of Table 18. A score of a part of the prompts bears their number.
func (p *paper) evaluated() string {
	var metrics []string
	head := []string{"r", "run", "val_loss"}
	scored := map[string]modelScores{}
	for _, m := range p.models {
		scored[m.Adapter] = m
	}
	for _, m := range evaluation.Metrics() {
		if _, ok := findScore(p.models[len(p.models)-1].Metrics, string(m)); ok {
			head, metrics = append(head, m.Title()), append(metrics, string(m))
		}
	}
	rows := [][]string{head}
	add := func(rank int, adapter string, values map[string]float64) {
		row := []string{fmt.Sprint(rank), modelName(adapter), fmt.Sprintf("%.3f", values["val_loss"])}
		for _, m := range metrics {
			name, ok := findScore(values, m)
			if !ok {
				row = append(row, "–")
				continue
			}
			text := fmt.Sprintf("%.3f", values[name])
			if n, ok := scored[adapter].Scored[name]; ok {
				text += fmt.Sprintf(" (%d)", n)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	base := map[string]float64{}
	for name, value := range p.models[0].Metrics {
		base[name] = float64(value)
	}
	add(0, "", base)
	for _, run := range p.sweep.Runs {
		add(run.Rank, run.Name, run.Evaluation)
	}
	return mdTable(rows)
}

// findScore is the name under which a metric stands: of all prompts, or of the verified ones.
func findScore[N any](values map[string]N, metric string) (name string, ok bool) {
	for _, name := range []string{metric, metric + verifiedSuffix} {
		if _, ok := values[name]; ok {
			return name, true
		}
	}
	return "", false
}

// choice is the rank that the sweep recommends, and why.
func (p *paper) choice() string {
	c := p.sweep.Choice
	return mdTable([][]string{
		{"recommended r", c.By, "best r", c.By, "runs of one rank differ by up to", "ranks differ by"},
		{
			fmt.Sprint(c.Rank), fmt.Sprintf("%.3f", c.Value), fmt.Sprint(c.BestRank), fmt.Sprintf("%.3f", c.BestValue),
			fmt.Sprintf("%.3f", c.Spread), fmt.Sprintf("%.3f", c.Range),
		},
	})
}
