package figure

import (
	"image"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Heatmap shows a matrix of values from 0 to 1, such as φ(i, j): row i upwards, column j to the right, both counted from 1. Cells that are
// NaN or Unknown are grey.
type Heatmap struct {
	Rows, Cols     int
	Values         []float64 // row-major
	Numbers        []int     // what the rows are called, ascending; nil counts them from 1
	Top            float64   // the value of the brightest colour; 0 means 1
	Unknown        []bool    // row-major, or nil
	Beyond         []bool    // row-major, or nil: cells that chance does not explain; the others have a dot, and a line parts them
	XLabel, YLabel string
}

// NewPhi is a heat map of φ between subspaces of R^dim. numbers are the i of its rows, ascending from 1 or more. Where dim is known, cells
// that independent random subspaces explain, φ up to three standard deviations above its mean, have a dot. A row is grey where
// cutsRow of its direction is false, and so are columns: there the cut after that direction is arbitrary.
func NewPhi(numbers []int, cols int, values []float64, dim int, cutsRow, cutsCol []bool) Heatmap {
	rows := len(numbers)
	h := Heatmap{Rows: rows, Cols: cols, Values: values, Numbers: numbers, XLabel: "j", YLabel: "i", Unknown: make([]bool, rows*cols)}
	if dim > 1 {
		h.Beyond = make([]bool, rows*cols)
	}
	for r, i := range numbers {
		for c := range cols {
			at := r*cols + c
			h.Unknown[at] = (i <= len(cutsRow) && !cutsRow[i-1]) || (c < len(cutsCol) && !cutsCol[c])
			if dim > 1 {
				mean, sd := PhiNull(i, c+1, dim)
				h.Beyond[at] = !h.Unknown[at] && sd > 0 && values[at] > mean+3*sd
			}
		}
	}
	return h
}

// PhiNull is the mean and the standard deviation of φ(i, j) over independent Haar-random subspaces of i and of j of dim dimensions, in
// closed form.
func PhiNull(i, j, dim int) (mean, sd float64) {
	x, y, n := float64(i), float64(j), float64(dim)
	if i >= dim || j >= dim {
		return 1, 0
	}
	return max(x, y) / n, math.Sqrt(2*x*y*(n-x)*(n-y)/(n*n*(n-1)*(n+2))) / min(x, y)
}

func (h Heatmap) top() float64 {
	if h.Top > 0 {
		return h.Top
	}
	return 1
}

// shareTop gives heat maps one scale, up to the next tenth above their largest value, so that they can be compared and what is low can be
// told apart.
func shareTop(panels []Panel) {
	top := 2.0
	for _, p := range panels {
		if h, ok := p.Plot.(Heatmap); ok {
			for i, v := range h.Values {
				if h.Unknown == nil || !h.Unknown[i] {
					for top < 10 && v*10 > top {
						top++
					}
				}
			}
		}
	}
	for i, p := range panels {
		if h, ok := p.Plot.(Heatmap); ok {
			h.Top = top / 10
			panels[i].Plot = h
		}
	}
}

func (h Heatmap) legend() []entry { return nil }

// draw puts the matrix to the left and its scale to the right.
func (h Heatmap) draw(c draw.Canvas) {
	const scale = 46
	p := newPlot(h.XLabel, h.YLabel)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0.5, float64(h.Cols)+0.5, 0.5, float64(h.Rows)+0.5
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.ConstantTicks(countTicks(h.Cols, 8)), plot.ConstantTicks(h.rowTicks())
	p.Add(matrix(h))
	body := draw.Crop(c, 0, -scale, 0, -4)
	p.Draw(body)

	inner := p.DataCanvas(body)
	bar := newPlot("", "")
	bar.HideX()
	bar.X.Min, bar.X.Max, bar.Y.Min, bar.Y.Max = 0, 1, 0, 1
	bar.Y.Padding = 0
	top := h.top()
	bar.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 0.5, Label: tickLabel(top / 2)}, {Value: 1, Label: tickLabel(top)}}
	place := c
	place.Min.X, place.Max.X, place.Min.Y, place.Max.Y = c.Max.X-scale+10, c.Max.X-6, inner.Min.Y, inner.Max.Y
	bar.Add(ramp{})
	bar.Draw(place)
}

// rowTicks are at most eight or nine rows by their numbers.
func (h Heatmap) rowTicks() []plot.Tick {
	ticks := countTicks(h.Rows, 8)
	for i, t := range ticks {
		if row := int(t.Value); h.Numbers != nil && row <= len(h.Numbers) {
			ticks[i].Label = tickLabel(float64(h.Numbers[row-1]))
		}
	}
	return ticks
}

// matrix draws the cells of a heat map as one image, and the line around what is beyond chance.
type matrix Heatmap

// Plot implements plot.Plotter.
func (m matrix) Plot(c draw.Canvas, p *plot.Plot) {
	// Whole dots to a cell, so that a viewer that smooths images shows sharp cells all the same.
	dots := max(1, 240/max(m.Rows, m.Cols, 1))
	img := image.NewPaletted(image.Rect(0, 0, m.Cols*dots, m.Rows*dots), sequential)
	top := Heatmap(m).top()
	for i := range m.Rows {
		for j := range m.Cols {
			index := shade(m.Values[i*m.Cols+j] / top)
			if m.Unknown != nil && m.Unknown[i*m.Cols+j] {
				index = shades
			}
			for y := (m.Rows - 1 - i) * dots; y < (m.Rows-i)*dots; y++ {
				row := img.Pix[y*img.Stride+j*dots:]
				for x := range dots {
					row[x] = index
				}
			}
			if m.Beyond != nil && !m.Beyond[i*m.Cols+j] && index < shades {
				dot(img, j*dots, (m.Rows-1-i)*dots, dots)
			}
		}
	}
	c.DrawImage(c.Rectangle, img)
	if path := m.border(p.Transforms(&c)); len(path) > 0 {
		// Dark under white, to be seen on every shade.
		c.SetLineStyle(draw.LineStyle{Color: shadow.color, Width: 2.6})
		c.Stroke(path)
		c.SetLineStyle(draw.LineStyle{Color: contour.color, Width: 1.2})
		c.Stroke(path)
	}
}

// dot marks the middle of the cell of size dots at x, y.
func dot(img *image.Paletted, x, y, size int) {
	width := max(1, size/8)
	from := (size - width) / 2
	for dy := from; dy < from+width; dy++ {
		for dx := from; dx < from+width; dx++ {
			img.Pix[(y+dy)*img.Stride+x+dx] = shades + 1
		}
	}
}

// border is the line between cells that are beyond chance and those that are not, in runs as long as they go.
func (m matrix) border(x, y func(float64) vg.Length) vg.Path {
	if m.Beyond == nil {
		return nil
	}
	known := func(i, j int) bool {
		return i >= 0 && j >= 0 && i < m.Rows && j < m.Cols && (m.Unknown == nil || !m.Unknown[i*m.Cols+j])
	}
	parts := func(i, j, k, l int) bool {
		return known(i, j) && known(k, l) && m.Beyond[i*m.Cols+j] != m.Beyond[k*m.Cols+l]
	}
	var path vg.Path
	for i := range m.Rows + 1 { // between rows i-1 and i
		for j := 0; j < m.Cols; j++ {
			start := j
			for j < m.Cols && parts(i-1, j, i, j) {
				j++
			}
			if j > start {
				path.Move(vg.Point{X: x(float64(start) + 0.5), Y: y(float64(i) + 0.5)})
				path.Line(vg.Point{X: x(float64(j) + 0.5), Y: y(float64(i) + 0.5)})
			}
		}
	}
	for j := range m.Cols + 1 {
		for i := 0; i < m.Rows; i++ {
			start := i
			for i < m.Rows && parts(i, j-1, i, j) {
				i++
			}
			if i > start {
				path.Move(vg.Point{X: x(float64(j) + 0.5), Y: y(float64(start) + 0.5)})
				path.Line(vg.Point{X: x(float64(j) + 0.5), Y: y(float64(i) + 0.5)})
			}
		}
	}
	return path
}

// ramp draws the palette from bottom to top.
type ramp struct{}

// Plot implements plot.Plotter.
func (ramp) Plot(c draw.Canvas, _ *plot.Plot) {
	img := image.NewPaletted(image.Rect(0, 0, 1, shades), sequential)
	for i := range shades {
		img.Pix[i] = uint8(shades - 1 - i)
	}
	c.DrawImage(c.Rectangle, img)
}
