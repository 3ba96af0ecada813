package report

import (
	"cmp"
	"fmt"
	"html/template"
	"path"
	"strconv"
	"strings"
)

// pageView is what the template shows. Strings are escaped by Escape; the template escapes them for HTML.
type pageView struct {
	Policy  string
	Style   template.CSS
	Script  template.JS
	Title   string
	Verdict verdictView
	Base    string
	Reasons []reasonView
	Answers []answer
	Subject [][2]string

	Figures   []figureView
	Summaries []tableView
	Texts     *tableView
	Completed []completionView
	Whole     *tableView
	Others    *tableView // as Whole, of modules that do not ship with Tenon
	Weights   []tableView
	Modules   *tableView
	Faults    []string // of modules that did not run to their end
	Strangers []string // modules that do not ship with Tenon
	Logs      []logView
	Tensors   *tableView
	Schema    string
}

type logView struct {
	Module string
	Lines  []string
}

type verdictView struct{ Class, Name, Phrase, Mark string }

type reasonView struct {
	Class, Severity, Sentence, Hint, Code, Module string
	Items                                         []string
}

// ItemsLabel names what opens the items.
func (r reasonView) ItemsLabel() string {
	if len(r.Items) == 1 {
		return "where"
	}
	return fmt.Sprintf("where, and what else (%d)", len(r.Items))
}

// Few reports whether the items need no folding.
func (r reasonView) Few() bool { return len(r.Items) <= 4 }

type figureView struct {
	ID, Title, Caption string
	Shown, More        []template.HTML
	Folded             bool
}

type tableView struct {
	Title, Note, Foot string
	Columns           []columnView
	Rows              [][]string
	Under             []underView // second lines of the first cells; nil for none
}

// underView is a second line in a cell, and what it is short for.
type underView struct{ Text, Title string }

type columnView struct {
	Name    string
	Numeric bool
}

type completionView struct {
	ID, Prompt, Expect, Base, Merged, Mark string
	Matched                                bool
}

// marks say in a shape what colour says too.
var marks = map[ink]string{good: "✓", doubtful: "!", bad: "✕"}

var inkClasses = map[ink]string{good: "good", doubtful: "doubtful", bad: "bad", faint: "quiet", plainInk: "neutral"}

func newPageView(r *Report, figures []Figure) *pageView {
	color, name, phrase := ruling(r.Verdict)
	v := &pageView{
		Title:   Escape(tail(r.Adapter.Ref)),
		Base:    Escape(tail(r.Base.Ref)),
		Verdict: verdictView{inkClasses[color], name, sentenceCase(phrase) + ".", marks[color]},
		Answers: answers(r), Subject: subject(r), Schema: SchemaVersion,
	}
	for i := range v.Answers {
		v.Answers[i].Question, v.Answers[i].Text = sentenceCase(v.Answers[i].Question), sentenceCase(v.Answers[i].Text)+"."
	}
	foreign := foreigners(r.Modules)
	for _, reason := range reasons(r.Findings) {
		sentence, items := reason.told()
		color := severityInk(reason.Severity)
		v.Reasons = append(v.Reasons, reasonView{Class: inkClasses[color], Severity: Escape(string(reason.Severity)), Sentence: sentenceCase(sentence),
			Hint: sentenceCase(Escape(reason.Hint)), Code: Escape(reason.Code), Module: reason.speaker(foreign), Items: items})
	}
	for _, f := range figures {
		v.Figures = append(v.Figures, newFigureView(f))
	}
	v.tables(r)
	return v
}

func newFigureView(f Figure) figureView {
	view := figureView{ID: f.ID, Title: Escape(f.Title), Caption: Escape(f.Caption), Folded: f.Folded}
	for _, p := range f.Panels {
		picture := template.HTML(p.SVG) // drawn by us, its text escaped by what drew it
		if p.Folded {
			view.More = append(view.More, picture)
		} else {
			view.Shown = append(view.Shown, picture)
		}
	}
	return view
}

func (v *pageView) tables(r *Report) {
	ours := Own(r)
	for _, s := range summaries(ours) {
		if groups := s.rows(ours.Metrics, ours.Peers, s.columns); len(groups) > 0 {
			v.Summaries = append(v.Summaries, summaryTable(s, groups))
		}
	}
	v.Weights = weightTables(r)
	v.probe(r.Probe)
	own, others := wholeMetrics(r)
	v.Whole, v.Others = wholeTable("The adapter as a whole", own), wholeTable(othersTitle, others)
	if len(r.Modules) > 0 {
		v.Modules = &tableView{Columns: []columnView{{"module", false}, {"reads", false}, {"status", false}, {"time, ms", true},
			{"compile, ms", true}, {"memory, MiB", true}, {"process, MiB", true}, {"host calls", true}}}
		for _, m := range r.Modules {
			v.Modules.Rows = append(v.Modules.Rows, []string{Escape(m.ID), Escape(m.Cost), Escape(m.Status), digits(m.Usage.WallMs, 3),
				digits(m.Usage.CompileMs, 3), digits(float64(m.Usage.PeakBytes)/(1<<20), 3), digits(float64(m.Usage.ResidentBytes)/(1<<20), 3),
				Count(max(m.Usage.HostCalls, 0))})
			v.Modules.Under = append(v.Modules.Under, identity(m))
			if m.Error != "" {
				v.Faults = append(v.Faults, Escape(m.ID)+": "+Escape(m.Error))
			}
			if text := stranger(m); text != "" {
				v.Strangers = append(v.Strangers, Escape(m.ID)+": "+text)
			}
			if words := lastWords(m.Log); words != nil {
				v.Logs = append(v.Logs, logView{Escape(m.ID), words})
			}
		}
		if twice(r.Modules) {
			v.Strangers = append(v.Strangers, "Each diagnostic ran twice on the same input; what the two runs gave was compared bit for bit.")
		}
	}
	if len(r.Coverage.Tensors) > 0 {
		v.Tensors = &tableView{Columns: []columnView{{"tensor of the adapter", false}, {"ended as", false}, {"weight of the base", false}, {"rule", false}}}
		for _, t := range r.Coverage.Tensors {
			v.Tensors.Rows = append(v.Tensors.Rows, []string{Escape(t.Name), Escape(string(t.Disposition)), Escape(t.Target), Escape(t.Rule)})
		}
	}
}

// summaryTable is one of the tables of the text with its ranges in columns of their own.
func summaryTable(s summary, groups []*group) tableView {
	t := tableView{Title: s.title, Note: s.note, Foot: s.foot, Columns: []columnView{{s.first, false}}}
	columns := filled(groups, s.columns)
	for _, c := range columns {
		t.Columns = append(t.Columns, columnView{c.header, true})
		if c.ranged {
			t.Columns = append(t.Columns, columnView{"from–to", false})
		}
	}
	for _, g := range groups {
		row := []string{g.label}
		for _, c := range columns {
			middle, extremes := g.value(c.metric, c.number)
			row = append(row, middle)
			if c.ranged {
				row = append(row, strings.Trim(extremes, "()"))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// together is the row of what holds of all weights together.
const together = "all weights together"

// weightTables are all metrics of all weights: a table for each module, and for each adapter it compared with.
func weightTables(r *Report) []tableView {
	type key struct{ module, with string }
	type pivot struct {
		columns, targets []string
		column           map[string]int
		values           map[string]map[int]string
	}
	var order []key
	pivots := map[key]*pivot{}
	for _, m := range r.Metrics {
		target := Escape(strings.TrimSuffix(m.Target, ".weight"))
		if m.Target == "" {
			if m.With == "" {
				continue
			}
			target = together
		}
		k := key{m.Module, m.With}
		p := pivots[k]
		if p == nil {
			p = &pivot{column: map[string]int{}, values: map[string]map[int]string{}}
			pivots[k] = p
			order = append(order, k)
		}
		if _, ok := p.column[m.Name]; !ok {
			p.column[m.Name] = len(p.columns)
			p.columns = append(p.columns, m.Name)
		}
		if p.values[target] == nil {
			p.values[target] = map[int]string{}
			p.targets = append(p.targets, target)
		}
		p.values[target][p.column[m.Name]] = digits(float64(m.Value), 4)
	}
	labels := PeerLabels(r.Peers)
	tables := make([]tableView, len(order))
	for i, k := range order {
		p := pivots[k]
		t := tableView{Title: Escape(k.module), Note: plural(len(p.targets), "row"), Columns: []columnView{{"weight", false}}}
		if k.with != "" {
			t.Title += " with " + cmp.Or(labels[k.with], shorten(Escape(strings.TrimPrefix(k.with, "sha256:")), 13))
		}
		for _, name := range p.columns {
			t.Columns = append(t.Columns, columnView{Escape(name), true})
		}
		for _, target := range p.targets {
			row := make([]string, len(t.Columns))
			row[0] = target
			for c := range p.columns {
				row[c+1] = cmp.Or(p.values[target][c], "-")
			}
			t.Rows = append(t.Rows, row)
		}
		tables[i] = t
	}
	return tables
}

func (v *pageView) probe(probe *Probe) {
	if probe == nil {
		return
	}
	if len(probe.Texts) > 0 {
		v.Texts = &tableView{Columns: []columnView{{"text", false}, {"role", false}, {"tokens", true}, {"loss of base", true}, {"loss of merged", true},
			{"change", true}, {"KL", true}}}
		for _, t := range probe.Texts {
			v.Texts.Rows = append(v.Texts.Rows, []string{Escape(t.ID), Escape(t.Role), strconv.Itoa(t.Tokens), fixed(float64(t.NLLBase), 4),
				fixed(float64(t.NLLMerged), 4), signed(float64(t.NLLMerged - t.NLLBase)), fixed(float64(t.KL), 3)})
		}
	}
	for _, c := range probe.Completions {
		view := completionView{ID: Escape(c.ID), Prompt: Escape(c.Prompt), Expect: Escape(c.Expect), Base: Escape(c.BaseText), Merged: Escape(c.Text),
			Mark: "as expected", Matched: c.Matched}
		if !c.Matched {
			view.Mark = "not as expected"
		}
		v.Completed = append(v.Completed, view)
	}
}

// MoreLabel names what opens the folded panels.
func (f figureView) MoreLabel() string { return fmt.Sprintf("%d more like these", len(f.More)) }

// tail is the last two parts of a reference: the last alone is often "adapter" or "base".
func tail(ref string) string {
	ref = strings.TrimRight(ref, "/")
	folder, name := path.Split(ref)
	if folder = path.Base(folder); folder == "." || folder == "/" || folder == ".." {
		return name
	}
	return folder + "/" + name
}

// sentenceCase begins text with a capital, unless its first word is a name with a dot, an underscore or a slash in it.
func sentenceCase(text string) string {
	first, _, _ := strings.Cut(text, " ")
	if first == "" || strings.ContainsAny(first, "._/-") || first[0] < 'a' || first[0] > 'z' {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
