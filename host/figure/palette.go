package figure

import (
	"image/color"
	"math"
)

// A role is what a colour stands for. Figures are drawn on white paper; a page that holds their SVG can restyle every role through its
// class, which is how the figures of a report follow the reader's light or dark scheme.
type role struct {
	class string
	color color.NRGBA
}

// The roles. The colours of data stay apart for every common kind of colour blindness, and each comes with a dash of its own.
var (
	ink      = role{"ink", color.NRGBA{0x1f, 0x24, 0x2b, 0xff}}
	soft     = role{"soft", color.NRGBA{0x5b, 0x65, 0x72, 0xff}}
	rule     = role{"rule", color.NRGBA{0xd9, 0xdd, 0xe3, 0xff}}
	unknown  = role{"unknown", color.NRGBA{0xb4, 0xb9, 0xc1, 0xff}}
	contour  = role{"contour", color.NRGBA{0xff, 0xff, 0xff, 0xff}}
	shadow   = role{"shadow", color.NRGBA{0x0b, 0x0f, 0x24, 0xff}} // under the contour, on every page
	measured = role{"measured", color.NRGBA{0x0b, 0x62, 0xa8, 0xff}}
	chance   = role{"chance", color.NRGBA{0xc2, 0x57, 0x05, 0xff}}
	third    = role{"third", color.NRGBA{0x0c, 0x7d, 0x5c, 0xff}}
	fourth   = role{"fourth", color.NRGBA{0x97, 0x3f, 0x86, 0xff}}
	fifth    = role{"fifth", color.NRGBA{0x6f, 0x5a, 0x12, 0xff}}
)

var roles = []role{ink, soft, rule, unknown, contour, shadow, measured, chance, third, fourth, fifth}

// classOf names the role of a colour, or nothing.
func classOf(c color.Color) string {
	n := color.NRGBAModel.Convert(c)
	for _, r := range roles {
		if r.color == n {
			return r.class
		}
	}
	return ""
}

// shades is how many steps the sequential palette has; a paletted image holds them, one more colour for what is not known, and one for the
// dots of what chance explains.
const shades = 64

// anchors of the sequential palette in OKLab (lightness, green to red, blue to yellow): from a dark blue over green to a light yellow.
// Lightness rises evenly, so that the order of the values survives grey printing and every colour blindness.
var anchors = [][3]float64{{0.22, 0.015, -0.115}, {0.445, -0.055, -0.075}, {0.67, -0.105, 0.035}, {0.93, -0.045, 0.145}}

// sequential is the palette of the heat maps, from 0 to 1, and after it the colours of what is not known and of dots.
var sequential = func() color.Palette {
	p := make(color.Palette, 0, shades+1)
	for i := range shades {
		at := float64(i) / (shades - 1) * float64(len(anchors)-1)
		n := min(int(at), len(anchors)-2)
		t := at - float64(n)
		var lab [3]float64
		for c := range lab {
			lab[c] = float64(anchors[n][c]*(1-t)) + float64(anchors[n+1][c]*t)
		}
		p = append(p, fromOKLab(lab))
	}
	return append(p, unknown.color, contour.color)
}()

// fromOKLab converts to sRGB (Ottosson 2020), cut to its gamut.
func fromOKLab(lab [3]float64) color.NRGBA {
	l := lab[0] + float64(0.3963377774*lab[1]) + float64(0.2158037573*lab[2])
	m := lab[0] - float64(0.1055613458*lab[1]) - float64(0.0638541728*lab[2])
	s := lab[0] - float64(0.0894841775*lab[1]) - float64(1.2914855480*lab[2])
	l, m, s = l*l*l, m*m*m, s*s*s
	gamma := func(v float64) uint8 {
		v = min(max(v, 0), 1)
		if v <= 0.0031308 {
			v *= 12.92
		} else {
			v = float64(1.055*math.Pow(v, 1/2.4)) - 0.055
		}
		return uint8(math.Round(v * 255))
	}
	return color.NRGBA{
		R: gamma(float64(4.0767416621*l) - float64(3.3077115913*m) + float64(0.2309699292*s)),
		G: gamma(float64(-1.2684380046*l) + float64(2.6097574011*m) - float64(0.3413193965*s)),
		B: gamma(float64(-0.0041960863*l) - float64(0.7034186147*m) + float64(1.7076147010*s)),
		A: 0xff,
	}
}

// shade is the index in sequential of a value from 0 to 1.
func shade(v float64) uint8 {
	if math.IsNaN(v) {
		return shades
	}
	return uint8(math.Round(min(max(v, 0), 1) * (shades - 1)))
}
