package figure

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Lines shows how numbers go along an axis: layers, directions or ranks.
type Lines struct {
	XLabel, YLabel string
	Series         []Series
	LogX           bool // of base two, for ranks: the ticks are the values themselves
	LogY           bool // what is not above zero is left out
	Unit           bool // the vertical axis goes from 0 to 1 at least

	low, high float64 // of all panels that share the vertical axis; both 0 where none do
}

// Series is one line. X ascends; a Y that is not finite interrupts it.
type Series struct {
	Name string
	X, Y []float64
	Null bool // what chance gives: drawn broken and in its own colour
}

// looks are what series look like, in their order; a null has its own.
var looks = []entry{
	{role: measured}, {role: third, dash: []vg.Length{6, 2}}, {role: fourth, dash: []vg.Length{2, 2}}, {role: fifth, dash: []vg.Length{8, 2, 2, 2}},
	{role: ink, dash: []vg.Length{1, 2}}, {role: soft, dash: []vg.Length{10, 3}},
}

// legend needs no names where there is one line.
func (l Lines) legend() []entry {
	if len(l.Series) < 2 {
		return nil
	}
	return l.looks()
}

// looks is what each series looks like, with its name.
func (l Lines) looks() []entry {
	entries := make([]entry, len(l.Series))
	n, nulls := 0, 0
	for i, s := range l.Series {
		if s.Null {
			entries[i] = entry{role: chance, dash: [][]vg.Length{{4, 3}, {1.5, 2.5}}[nulls%2]}
			nulls++
		} else {
			entries[i] = looks[n%len(looks)]
			n++
		}
		entries[i].name = s.Name
	}
	return entries
}

// shown reports whether the point can be drawn: beyond 10^±100 the differences that set the axes leave the range of a float.
func (l Lines) shown(x, y float64) bool {
	return math.Abs(y) <= 1e100 && math.Abs(x) <= 1e100 && (!l.LogY || y >= 1e-100) && (!l.LogX || x >= 1e-100)
}

func (l Lines) draw(c draw.Canvas) {
	p := newPlot(l.XLabel, l.YLabel)
	l.axes(p)
	p.Add(rules{})
	looks := l.looks()
	for i, s := range l.Series {
		p.Add(trace{lines: l, series: s, look: looks[i]})
	}
	p.Draw(draw.Crop(c, 0, -8, 0, -4))
}

// extremes are the least and the most of what is shown on the vertical axis; ok is false where nothing is.
func (l Lines) extremes() (low, high float64, ok bool) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range l.Series {
		for i, x := range s.X {
			if l.shown(x, s.Y[i]) {
				low, high = min(low, s.Y[i]), max(high, s.Y[i])
			}
		}
	}
	return low, high, low <= high
}

// share gives panels of Lines one vertical axis, so that they can be compared.
func share(panels []Panel) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range panels {
		if l, ok := p.Plot.(Lines); ok {
			if a, b, ok := l.extremes(); ok {
				low, high = min(low, a), max(high, b)
			}
		}
	}
	for i, p := range panels {
		if l, ok := p.Plot.(Lines); ok && low < high {
			l.low, l.high = low, high
			panels[i].Plot = l
		}
	}
}

// axes sets ranges, scales and ticks.
func (l Lines) axes(p *plot.Plot) {
	lowX, highX, lowY, highY := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	if l.Unit {
		lowY, highY = 0, 1
	}
	if l.low < l.high {
		lowY, highY = l.low, l.high
	}
	var xs []float64
	for _, s := range l.Series {
		for i, x := range s.X {
			if l.shown(x, s.Y[i]) {
				lowX, highX, lowY, highY = min(lowX, x), max(highX, x), min(lowY, s.Y[i]), max(highY, s.Y[i])
				xs = append(xs, x)
			}
		}
	}
	if lowX > highX {
		lowX, highX = 1, 2
	}
	if lowY > highY {
		lowY, highY = 0.1, 1
	}
	if lowX == highX {
		if lowX--; l.LogX {
			lowX = highX / 2
		}
		highX++
	}
	if l.LogY {
		if highY/lowY < 4 {
			lowY, highY = lowY/2, highY*2
		} else {
			lowY, highY = lowY/1.15, highY*1.15
		}
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.ConstantTicks(logTicks(lowY, highY))
	} else {
		if lowY > 0 && lowY < highY*0.6 {
			lowY = 0
		}
		if lowY == highY {
			lowY, highY = lowY-max(math.Abs(lowY)/2, 1e-9), highY+max(math.Abs(highY)/2, 1e-9)
		}
		if !l.Unit {
			highY += (highY - lowY) * 0.05
		}
		p.Y.Tick.Marker = plot.ConstantTicks(linearTicks(lowY, highY))
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = lowX, highX, lowY, highY
	if l.LogX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.ConstantTicks(valueTicks(xs))
		return
	}
	var ticks []plot.Tick
	for _, t := range linearTicks(lowX, highX) {
		if t.Value == math.Round(t.Value) { // layers and directions are counted
			ticks = append(ticks, t)
		}
	}
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
}

// valueTicks puts a tick at every value, and a label where there is room for one.
func valueTicks(xs []float64) []plot.Tick {
	seen := map[float64]bool{}
	var ticks []plot.Tick
	for _, x := range xs {
		if !seen[x] {
			seen[x] = true
			ticks = append(ticks, plot.Tick{Value: x, Label: tickLabel(x)})
		}
	}
	return ticks
}

// rules are faint lines at the ticks of the vertical axis.
type rules struct{}

// Plot implements plot.Plotter.
func (rules) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	var path vg.Path
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		path.Move(vg.Point{X: c.Min.X, Y: y(t.Value)})
		path.Line(vg.Point{X: c.Max.X, Y: y(t.Value)})
	}
	if len(path) > 0 {
		c.SetLineStyle(draw.LineStyle{Color: rule.color, Width: 0.75})
		c.Stroke(path)
	}
}

// trace draws one series: a line in one path, and a point at each value where they are few.
type trace struct {
	lines  Lines
	series Series
	look   entry
}

// fewPoints is up to how many values of a series get a point each.
const fewPoints = 40

// Plot implements plot.Plotter.
func (t trace) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	var path vg.Path
	var points []vg.Point
	drawing := false
	for i, at := range t.series.X {
		if !t.lines.shown(at, t.series.Y[i]) {
			drawing = false
			continue
		}
		point := vg.Point{X: x(at), Y: y(t.series.Y[i])}
		if points = append(points, point); drawing {
			path.Line(point)
		} else {
			path.Move(point)
		}
		drawing = true
	}
	c.SetLineStyle(draw.LineStyle{Color: t.look.role.color, Width: 1.6, Dashes: t.look.dash})
	if len(path) > 0 {
		c.Stroke(path)
	}
	if len(points) > fewPoints || t.series.Null {
		return
	}
	for _, point := range points {
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: t.look.role.color, Radius: 2.2, Shape: draw.CircleGlyph{}}, point)
	}
}
