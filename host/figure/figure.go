// Package figure draws the figures of a report: φ heat maps, amplification beside its null, spectra, merge loss and the rank sweep, from
// plain data or from a whole report, as SVG and PNG. The same data gives the same bytes.
package figure

import (
	"bytes"
	"fmt"
	"image/color"
	"image/png"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Figure is one or more panels that show the same thing of different parts, such as one panel for each kind of weight.
type Figure struct {
	ID      string // of lower-case letters, digits and hyphens: an anchor and a file name
	Title   string
	Caption string // what is to be seen and how to read it, in plain words
	Panels  []Panel
	Columns int  // panels side by side in a picture of all; 0 leaves it to the figure
	Detail  bool // of interest to few: a page may fold it
}

// Panel is one plot with its title.
type Panel struct {
	Title  string
	Plot   Plot
	Detail bool // one of many alike: a page may fold it
}

// Plot is what can be drawn on a panel: Heatmap and Lines.
type Plot interface {
	// draw fills c. The title is drawn by the panel above it.
	draw(c draw.Canvas)
	// legend names what is drawn, in the order of drawing.
	legend() []entry
}

// Width and height of a panel in points. At a phone's width a panel fills the page, and its smallest text is 10 points high.
const (
	panelWidth  = 320 * vg.Length(1)
	panelHeight = 236 * vg.Length(1)
)

// SVG draws the panel alone.
func (p Panel) SVG() []byte {
	canvas := newSVG(panelWidth, panelHeight)
	p.draw(draw.NewCanvas(canvas, panelWidth, panelHeight))
	return canvas.bytes(p.Title)
}

// draw puts title, legend and plot on c.
func (p Panel) draw(c draw.Canvas) {
	title := textStyle(ink, 12.5, true)
	c = draw.Crop(c, 6, -10, 6, -6)
	c.FillText(title, vg.Point{X: c.Min.X + 2, Y: c.Max.Y - 11}, fit(p.Title, title, c.Max.X-c.Min.X-4))
	top := vg.Length(20)
	if legend := p.Plot.legend(); len(legend) > 0 {
		top += drawLegend(draw.Crop(c, 0, 0, 0, -top), legend)
	}
	p.Plot.draw(draw.Crop(c, 0, 0, 0, -top))
}

// columns is how many panels stand side by side in the picture of a whole figure.
func (f Figure) columns() int {
	n := len(f.Panels)
	switch {
	case f.Columns > 0:
		return min(f.Columns, max(n, 1))
	case n <= 4:
		return max(n, 1)
	case n <= 6:
		return 3
	case n <= 48:
		return 4
	}
	return int(math.Ceil(math.Sqrt(float64(n))))
}

// size of the picture of all panels.
func (f Figure) size() (width, height vg.Length) {
	columns := f.columns()
	rows := max((len(f.Panels)+columns-1)/columns, 1)
	return panelWidth * vg.Length(columns), panelHeight * vg.Length(rows)
}

func (f Figure) draw(canvas vg.Canvas) {
	width, height := f.size()
	whole, columns := draw.NewCanvas(canvas, width, height), f.columns()
	for i, p := range f.Panels {
		left, top := panelWidth*vg.Length(i%columns), panelHeight*vg.Length(i/columns)
		p.draw(draw.Crop(whole, left, left+panelWidth-width, height-top-panelHeight, -top))
	}
}

// SVG draws all panels in one picture.
func (f Figure) SVG() []byte {
	canvas := newSVG(f.size())
	f.draw(canvas)
	return canvas.bytes(f.Title)
}

// dpi of PNG: two dots for each of the 72 points of an inch, so that text is sharp on today's screens.
const dpi = 144

// mostPixels bounds what a PNG may cost to draw; a figure of more is drawn with fewer dots to the inch.
const mostPixels = 20 << 20

// PNG draws all panels in one picture.
func (f Figure) PNG() ([]byte, error) {
	width, height := f.size()
	dots := dpi
	for dots > 36 && width.Dots(float64(dots))*height.Dots(float64(dots)) > mostPixels {
		dots /= 2
	}
	canvas := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dots), vgimg.UseBackgroundColor(color.White))
	f.draw(canvas)
	var b bytes.Buffer
	if err := png.Encode(&b, canvas.Image()); err != nil {
		return nil, fmt.Errorf("drawing figure %s: %w", f.ID, err)
	}
	return b.Bytes(), nil
}
