package figure

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// textStyle is sans-serif text, set from the left on its base line.
func textStyle(r role, size float64, bold bool) text.Style {
	style := text.Style{Color: r.color, Font: plot.DefaultFont, Handler: plot.DefaultTextHandler}
	style.Font.Variant, style.Font.Size = "Sans", vg.Length(size)
	if bold {
		style.Font.Weight = boldWeight
	}
	return style
}

// boldWeight is how heavy bold is on the scale of fonts, where 0 is normal.
const boldWeight = 3

// fit cuts words to a width.
func fit(words string, style text.Style, width vg.Length) string {
	runes := []rune(words)
	for n := len(runes); n > 0; n-- {
		cut := words
		if n < len(runes) {
			cut = string(runes[:n]) + "…"
		}
		if style.Width(cut) <= width {
			return cut
		}
	}
	return ""
}

// newPlot is a plot in the house style: thin soft axes, small labels, no title.
func newPlot(xLabel, yLabel string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.X.Label.Text, p.Y.Label.Text = xLabel, yLabel
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		align := axis.Tick.Label
		axis.Tick.Label = textStyle(soft, 10, false)
		axis.Tick.Label.XAlign, axis.Tick.Label.YAlign = align.XAlign, align.YAlign
		align = axis.Label.TextStyle
		axis.Label.TextStyle = textStyle(soft, 10.5, false)
		axis.Label.TextStyle.XAlign, axis.Label.TextStyle.YAlign, axis.Label.TextStyle.Rotation = align.XAlign, align.YAlign, align.Rotation
		axis.Color, axis.Width, axis.Padding = soft.color, 0.75, 3
		axis.Tick.Color, axis.Tick.Width, axis.Tick.Length = soft.color, 0.75, 4
	}
	return p
}

// entry is one name of a legend.
type entry struct {
	name string
	role role
	dash []vg.Length
}

// drawLegend writes the entries at the top of c, in lines, and returns the height it took.
func drawLegend(c draw.Canvas, entries []entry) vg.Length {
	const sample, gap, line = 18, 5, 14
	style := textStyle(soft, 10, false)
	x, y := c.Min.X+2, c.Max.Y-9
	for i, e := range entries {
		name := fit(e.name, style, c.Max.X-c.Min.X-sample-gap-4)
		width := sample + gap + style.Width(name) + 12
		if i > 0 && x+width-12 > c.Max.X {
			x, y = c.Min.X+2, y-line
		}
		c.StrokeLine2(draw.LineStyle{Color: e.role.color, Width: 2, Dashes: e.dash}, x, y+3.5, x+sample, y+3.5)
		c.FillText(style, vg.Point{X: x + sample + gap, Y: y}, name)
		x += width
	}
	return c.Max.Y - y + 7
}

// linearTicks are about five round numbers that cover the axis from low to high.
func linearTicks(low, high float64) []plot.Tick {
	step := roundStep((high - low) / 4)
	var ticks []plot.Tick
	for n := math.Ceil(low/step - 1e-9); n*step <= high+step*1e-9 && len(ticks) < 12; n++ {
		ticks = append(ticks, plot.Tick{Value: n * step, Label: tickLabel(n * step)})
	}
	return ticks
}

// roundStep is the least of 1, 2 or 5 times a power of ten that is at least v.
func roundStep(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logTicks are powers of ten where the axis holds at least two, and otherwise 1, 2 and 5 times them.
func logTicks(low, high float64) []plot.Tick {
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	multiples, skip := []float64{1}, max(1, math.Ceil((last-first)/5))
	if math.Log10(high/low) < 2 {
		multiples = []float64{1, 2, 5}
	}
	var ticks []plot.Tick
	for e := first; e <= last; e += skip {
		for _, m := range multiples {
			if v := m * math.Pow(10, e); v >= low*(1-1e-9) && v <= high*(1+1e-9) {
				ticks = append(ticks, plot.Tick{Value: v, Label: tickLabel(v)})
			}
		}
	}
	return ticks
}

// tickLabel writes a number as short as it goes.
func tickLabel(v float64) string {
	if abs := math.Abs(v); abs != 0 && (abs < 1e-3 || abs >= 1e5) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	text := strconv.FormatFloat(v, 'g', 6, 64)
	if text == "-0" {
		return "0"
	}
	return text
}

// countTicks are at most most whole numbers from 1 to n: 1, and then even steps.
func countTicks(n, most int) []plot.Tick {
	step := 1
	for _, s := range []int{1, 2, 4, 8, 10, 16, 20, 32, 64, 128} {
		if step = s; n/s <= most {
			break
		}
	}
	ticks := []plot.Tick{{Value: 1, Label: "1"}}
	for v := step; v <= n; v += step {
		if v > 1 {
			ticks = append(ticks, plot.Tick{Value: float64(v), Label: strconv.Itoa(v)})
		}
	}
	return ticks
}
