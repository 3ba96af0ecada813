package report

import "strconv"

// probes writes what base and merged model said: a row for each text, and a row for each completion.
func (p *page) probes(probe *Probe) {
	if probe == nil {
		return
	}
	if len(probe.Texts) > 0 {
		p.section("Texts", "mean loss over the tokens, in nats")
		rows := make([][]string, len(probe.Texts))
		for i, t := range probe.Texts {
			rows[i] = []string{shorten(Escape(t.ID), 24), Escape(t.Role), strconv.Itoa(t.Tokens),
				fixed(float64(t.NLLBase), 4), fixed(float64(t.NLLMerged), 4), signed(float64(t.NLLMerged - t.NLLBase)), fixed(float64(t.KL), 3)}
		}
		p.grid("llrrrrr", []string{"text", "role", "tokens", "base", "merged", "change", "KL"}, rows, true)
		p.paragraph(indent, p.paint(faint, "KL is how far the merged model's next-token distributions are from the base's, "+
			"KL(base ‖ merged); 0 is no change"))
	}
	if len(probe.Completions) > 0 {
		p.section("Completions", "greedy, of the merged model")
		for _, c := range probe.Completions {
			mark := p.paint(good, "as expected")
			if !c.Matched {
				mark = p.paint(bad, "NOT as expected")
			}
			p.line(indent + p.paint(strong, shorten(Escape(c.ID), 24)) + "  " + mark)
			p.paragraph(indent+"  prompt  ", Escape(c.Prompt))
			p.paragraph(indent+"  expect  ", Escape(c.Expect))
			p.paragraph(indent+"  base    ", Escape(c.BaseText))
			p.paragraph(indent+"  merged  ", Escape(c.Text))
		}
	}
}

// signed is a number with its sign.
func signed(v float64) string {
	if v > 0 {
		return "+" + fixed(v, 3)
	}
	return fixed(v, 3)
}

// whole writes the numbers about the adapter as a whole that no other table has, those of modules that do not ship with Tenon apart.
func (p *page) whole(r *Report) {
	own, others := wholeMetrics(r)
	for _, part := range []struct {
		title   string
		metrics []Metric
	}{{"The adapter as a whole", own}, {othersTitle, others}} {
		if len(part.metrics) == 0 {
			continue
		}
		var rows [][]string
		for _, m := range part.metrics {
			rows = append(rows, []string{Escape(m.Module), shorten(Escape(m.Name), 36), digits(float64(m.Value), 4)})
		}
		p.section(part.title, "")
		p.grid("llr", []string{"module", "metric", "value"}, rows, true)
	}
}

// othersTitle is the title of the table with the numbers of modules that do not ship with Tenon.
const othersTitle = "Of modules that are not part of Tenon"

// wholeMetrics are the metrics of no target and no other adapter, but for those of the probes, which have tables of their own: of Tenon's own
// modules, and of others.
func wholeMetrics(r *Report) (own, others []Metric) {
	foreign := foreigners(r.Modules)
	for _, m := range r.Metrics {
		switch {
		case m.Target != "" || m.With != "" || r.Probe != nil && m.Module == "probe":
		case foreign[m.Module]:
			others = append(others, m)
		default:
			own = append(own, m)
		}
	}
	return own, others
}

// wholeTable is a table of metrics of the adapter as a whole; nil where there are none.
func wholeTable(title string, metrics []Metric) *tableView {
	if len(metrics) == 0 {
		return nil
	}
	t := &tableView{Title: title, Columns: []columnView{{"module", false}, {"metric", false}, {"value", true}}}
	for _, m := range metrics {
		t.Rows = append(t.Rows, []string{Escape(m.Module), Escape(m.Name), digits(float64(m.Value), 5)})
	}
	return t
}
