package figure

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// svg is a canvas whose output is small, holds nothing but what was drawn, and can be restyled: every colour of a role carries the role's
// class beside its own value. Coordinates are in points with two decimals, the origin of the output is at the top left.
type svg struct {
	width, height vg.Length
	body          bytes.Buffer
	group         string // the element that is still open, to be continued by what looks the same
	tail          string // what closes it
	pen           pen
	stack         []pen
}

// pen is the state that Push saves. The transform maps (x, y) to (a x + c y + e, b x + d y + f), still with the origin at the bottom.
type pen struct {
	color            color.Color
	width            vg.Length
	dash             []vg.Length
	a, b, c, d, e, f float64
}

var _ vg.CanvasSizer = (*svg)(nil)

func newSVG(width, height vg.Length) *svg {
	s := &svg{width: width, height: height, pen: pen{a: 1, d: 1}}
	vg.Initialize(s)
	return s
}

// Size is the size of the paper.
func (s *svg) Size() (x, y vg.Length) { return s.width, s.height }

// SetLineWidth sets the width of strokes.
func (s *svg) SetLineWidth(width vg.Length) { s.pen.width = width }

// SetLineDash sets the pattern of strokes; the offset is not used by any figure.
func (s *svg) SetLineDash(pattern []vg.Length, _ vg.Length) { s.pen.dash = pattern }

// SetColor sets the colour of everything that follows.
func (s *svg) SetColor(c color.Color) {
	if c == nil {
		c = color.Black
	}
	s.pen.color = c
}

// Rotate turns what follows, counterclockwise in radians.
func (s *svg) Rotate(rad float64) {
	sin, cos := math.Sincos(rad)
	p := &s.pen
	p.a, p.b, p.c, p.d = p.a*cos+p.c*sin, p.b*cos+p.d*sin, p.c*cos-p.a*sin, p.d*cos-p.b*sin
}

// Translate moves what follows.
func (s *svg) Translate(by vg.Point) {
	p, x, y := &s.pen, by.X.Points(), by.Y.Points()
	p.e, p.f = p.e+p.a*x+p.c*y, p.f+p.b*x+p.d*y
}

// Scale stretches what follows.
func (s *svg) Scale(x, y float64) {
	p := &s.pen
	p.a, p.b, p.c, p.d = p.a*x, p.b*x, p.c*y, p.d*y
}

// Push saves the pen.
func (s *svg) Push() { s.stack = append(s.stack, s.pen) }

// Pop takes up the pen that was saved last.
func (s *svg) Pop() {
	s.pen = s.stack[len(s.stack)-1]
	s.stack = s.stack[:len(s.stack)-1]
}

// begin opens an element, unless the same one is open already: ticks, points and labels come in rows that look the same.
func (s *svg) begin(group, tail string) {
	if s.group == group {
		return
	}
	s.end()
	s.body.WriteString(group)
	s.group, s.tail = group, tail
}

// end closes the open element.
func (s *svg) end() {
	s.body.WriteString(s.tail)
	s.group, s.tail = "", ""
}

// Stroke draws along a path.
func (s *svg) Stroke(path vg.Path) {
	if s.pen.width <= 0 {
		return
	}
	group := fmt.Sprintf(`<path class="l %s" fill="none" stroke="%s" stroke-width="%s"`, classOf(s.pen.color), hex(s.pen.color),
		number(s.pen.width.Points()))
	if len(s.pen.dash) > 0 {
		parts := make([]string, len(s.pen.dash))
		for i, d := range s.pen.dash {
			parts[i] = number(d.Points())
		}
		group += fmt.Sprintf(` stroke-dasharray="%s"`, strings.Join(parts, " "))
	}
	s.begin(group+` d="`, "\"/>\n")
	s.body.WriteString(s.path(path))
}

// Fill fills a path.
func (s *svg) Fill(path vg.Path) {
	s.begin(fmt.Sprintf(`<path class="f %s" fill="%s" d="`, classOf(s.pen.color), hex(s.pen.color)), "\"/>\n")
	s.body.WriteString(s.path(path))
}

// FillString writes text. It is escaped; the reader's browser sets it in a face as wide as the one it was measured with.
func (s *svg) FillString(face font.Face, at vg.Point, text string) {
	group := fmt.Sprintf(`<g class="f %s" font-size="%s" fill="%s"`, classOf(s.pen.color), number(face.Font.Size.Points()), hex(s.pen.color))
	if face.Font.Weight > 0 {
		group += ` font-weight="bold"`
	}
	s.begin(group+">\n", "</g>\n")
	x, y := s.point(at)
	turn := ""
	if turned := math.Atan2(s.pen.b, s.pen.a); math.Abs(turned) > 1e-6 {
		turn = fmt.Sprintf(` transform="rotate(%s %s %s)"`, number(-turned*180/math.Pi), x, y)
	}
	fmt.Fprintf(&s.body, "<text x=\"%s\" y=\"%s\"%s>%s</text>\n", x, y, turn, html.EscapeString(text))
}

// DrawImage places an image without smoothing it.
func (s *svg) DrawImage(where vg.Rectangle, img image.Image) {
	var encoded bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&encoded, img); err != nil {
		return // images of figures are small and paletted, which cannot fail
	}
	s.end()
	x, y := s.point(vg.Point{X: where.Min.X, Y: where.Max.Y})
	size := where.Size()
	fmt.Fprintf(&s.body, `<image x="%s" y="%s" width="%s" height="%s" preserveAspectRatio="none" style="image-rendering:pixelated" `+
		`href="data:image/png;base64,%s"/>`+"\n", x, y, number(size.X.Points()), number(size.Y.Points()),
		base64.StdEncoding.EncodeToString(encoded.Bytes()))
}

// point is a point of the drawing in the coordinates of the output.
func (s *svg) point(at vg.Point) (x, y string) {
	p, px, py := &s.pen, at.X.Points(), at.Y.Points()
	return number(p.a*px + p.c*py + p.e), number(s.height.Points() - (p.b*px + p.d*py + p.f))
}

// path is the data of a path. Figures draw lines, and points as whole circles; there are no other arcs and no curves.
func (s *svg) path(path vg.Path) string {
	var b strings.Builder
	for _, c := range path {
		x, y := s.point(c.Pos)
		switch c.Type {
		case vg.MoveComp:
			b.WriteString("M" + x + " " + y)
		case vg.LineComp:
			b.WriteString("L" + x + " " + y)
		case vg.ArcComp:
			r := c.Radius
			left, level := s.point(vg.Point{X: c.Pos.X - r, Y: c.Pos.Y})
			b.Reset() // the path came from the circle's right end
			fmt.Fprintf(&b, "M%s %sa%[3]s %[3]s 0 1 0 %[4]s 0a%[3]s %[3]s 0 1 0 -%[4]s 0", left, level, number(r.Points()), number(2*r.Points()))
		case vg.CloseComp:
			b.WriteString("Z")
		}
	}
	return b.String()
}

// bytes is the document. label describes it to those who cannot see it.
func (s *svg) bytes(label string) []byte {
	s.end()
	w, h := number(s.width.Points()), number(s.height.Points())
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]s" height="%[2]s" viewBox="0 0 %[1]s %[2]s" role="img" aria-label="%[3]s" `+
		`font-family="Liberation Sans, Arimo, Arial, Helvetica, sans-serif"><rect class="paper" width="100%%" height="100%%" fill="#fff"/>`+"\n",
		w, h, html.EscapeString(label))
	out.Write(s.body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// number writes a coordinate with at most two decimals.
func number(v float64) string {
	text := strconv.FormatFloat(v, 'f', 2, 64)
	text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	if text == "-0" || text == "" {
		return "0"
	}
	return text
}

// hex writes an opaque colour.
func hex(c color.Color) string {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return fmt.Sprintf("#%02x%02x%02x", n.R, n.G, n.B)
}
