package figure

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"flag"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var embedded = regexp.MustCompile(`data:image/png;base64,([A-Za-z0-9+/=]+)`)

// golden compares an SVG with testdata/name, but for the bytes of embedded images, which depend on how Go packs them.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	got = embedded.ReplaceAll(got, []byte("IMAGE"))
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -update to accept):\n%s", path, got)
	}
}

// wellFormedXML reads a document to its end.
func wellFormedXML(t *testing.T, document []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(document))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, document)
		}
	}
}

func someLines() Panel {
	return Panel{Title: "q_proj", Plot: Lines{XLabel: "layer", YLabel: "amplification", LogY: true, Series: []Series{
		{Name: "this adapter", X: []float64{0, 1, 2, 3}, Y: []float64{4, 9, math.NaN(), 30}},
		{Name: "random directions", X: []float64{0, 1, 2, 3}, Y: []float64{8, 12, 0, 14}, Null: true},
	}}}
}

func somePhi() Panel {
	values := make([]float64, 12)
	for i := range values {
		values[i] = float64(i) / 11
	}
	values[5] = math.NaN()
	return Panel{Title: "v_proj, layer 3", Plot: NewPhi([]int{1, 2, 9}, 4, values, 64, nil, []bool{true, true, true, false})}
}

func TestSVG(t *testing.T) {
	sweep := RankSweep([]SweepMetric{{Name: "amplification", Log: true, Series: []Series{
		{Name: "measured", X: []float64{1, 2, 4, 64}, Y: []float64{40, 10, 5, 0.5}}, {Name: "random", X: []float64{1, 2, 4, 64}, Y: []float64{26, 11, 5, 0.4}, Null: true}}},
		{Name: "validation loss", Series: []Series{{Name: "loss", X: []float64{1, 2, 4, 64}, Y: []float64{3.8, 3.6, 3.4, 3.3}}}}})
	for name, got := range map[string][]byte{"lines.svg": someLines().SVG(), "phi.svg": somePhi().SVG(), "sweep.svg": sweep.SVG()} {
		t.Run(name, func(t *testing.T) {
			wellFormedXML(t, got)
			golden(t, name, got)
		})
	}
}

// What nobody would draw must not bring the drawing down.
func TestOddData(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, plot := range map[string]Plot{
		"no series":    Lines{},
		"no values":    Lines{Series: []Series{{Name: "x"}}},
		"one point":    Lines{LogX: true, LogY: true, Series: []Series{{X: []float64{8}, Y: []float64{3}}}},
		"nothing good": Lines{LogY: true, Series: []Series{{X: []float64{1, 2}, Y: []float64{nan, -1}}, {X: []float64{1, 2}, Y: []float64{inf, 0}}}},
		"level":        Lines{Series: []Series{{X: []float64{1, 2}, Y: []float64{0, 0}}}},
		"huge":         Lines{Series: []Series{{X: []float64{1, 2}, Y: []float64{-1e308, 1e308}}}},
		"tiny":         Lines{LogY: true, Series: []Series{{X: []float64{1, 2}, Y: []float64{5e-324, 1e300}}}},
		"one cell":     NewPhi([]int{1}, 1, []float64{nan}, 1, nil, nil),
		"wide":         NewPhi([]int{1}, 300, make([]float64, 300), 300, []bool{false}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			panel := Panel{Title: strings.Repeat("long ", 50) + "<\u202e&\">", Plot: plot}
			picture := panel.SVG()
			wellFormedXML(t, picture)
			if bytes.Contains(picture, []byte("NaN")) || bytes.Contains(picture, []byte("Inf")) {
				t.Errorf("a coordinate is no number: %s", picture)
			}
			if _, err := (Figure{ID: "odd", Panels: []Panel{panel}}).PNG(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHeatmapImage(t *testing.T) {
	found := embedded.FindSubmatch(somePhi().SVG())
	if found == nil {
		t.Fatal("no image")
	}
	data, err := base64.StdEncoding.DecodeString(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds().Size()
	cell := func(row, col int) color.Color {
		return color.NRGBAModel.Convert(img.At(col*size.X/4+1, (2-row)*size.Y/3+1)) // rows go upwards
	}
	for _, test := range []struct {
		name     string
		row, col int
		want     color.Color
	}{{"least", 0, 0, sequential[0]}, {"most", 2, 2, sequential[shade(10.0/11)]}, {"not a number", 1, 1, unknown.color}, {"arbitrary cut", 2, 3, unknown.color}} {
		if got := cell(test.row, test.col); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// The palette must tell more from less in grey too.
func TestPaletteRises(t *testing.T) {
	last := -1.0
	for i, c := range sequential[:shades] {
		n := c.(color.NRGBA)
		linear := func(v uint8) float64 { return math.Pow(float64(v)/255, 2.2) }
		if y := 0.2126*linear(n.R) + 0.7152*linear(n.G) + 0.0722*linear(n.B); y <= last {
			t.Errorf("shade %d is no lighter than the one before", i)
		} else {
			last = y
		}
	}
}

// By simulation in the spec: 0.10 for the top tenth against four directions; Beta(1/2, (d-1)/2) has variance 2(d-1)/(d²(d+2)).
func TestPhiNull(t *testing.T) {
	if mean, _ := PhiNull(410, 4, 4096); math.Abs(mean-0.1) > 0.001 {
		t.Errorf("mean %v", mean)
	}
	if _, sd := PhiNull(1, 1, 64); math.Abs(sd*sd-2*63.0/(64*64*66)) > 1e-15 {
		t.Errorf("variance %v", sd*sd)
	}
	if mean, sd := PhiNull(64, 3, 64); mean != 1 || sd != 0 {
		t.Errorf("the whole space: %v ± %v", mean, sd)
	}
}

func TestFromReport(t *testing.T) {
	r := &report.Report{Peers: []report.Peer{{Ref: "x/peer", Digest: "sha256:p"}}}
	for layer := range 12 {
		target := "m.layers." + string(rune('0'+layer%10)) + strings.Repeat("0", layer/10) + ".q_proj.weight"
		for _, m := range []report.Metric{{Name: "norm_ratio", Value: 0.1}, {Name: "amplification", Value: 2}, {Name: "amplification_random", Value: 3},
			{Name: "phi_delta_11", With: "sha256:p", Value: 0.5}, {Name: "merge_gain", Value: 1}, {Name: "merge_gain_error_nf4", Value: 1}} {
			m.Target = target
			r.Metrics = append(r.Metrics, m)
		}
		r.Grids = append(r.Grids, report.Grid{Target: target, Name: "phi_delta", With: "sha256:p", Rows: 1, Cols: 2, Values: [][]report.Number{{1, 0.5}}},
			report.Grid{Target: target, Name: "phi_base", Rows: 2, Cols: 2, Values: [][]report.Number{{1}}}) // fewer values than it says
	}
	ids := func(figures []Figure) string {
		var all []string
		for _, f := range figures {
			all = append(all, f.ID)
		}
		return strings.Join(all, " ")
	}
	figures := FromReport(r, 4)
	if got, want := ids(figures), "size amplification overlap-1 phi-delta-1 merge-loss"; got != want {
		t.Fatalf("figures %s, want %s", got, want)
	}
	if n := len(figures[3].Panels); n != 4 {
		t.Errorf("%d panels, want 4 of %d", n, len(r.Grids)/2)
	}
	if n := len(FromReport(r, 0)[3].Panels); n != len(r.Grids)/2 {
		t.Errorf("%d panels, want all", n)
	}
	dir := t.TempDir()
	names, err := WriteFiles(filepath.Join(dir, "new"), figures)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, "new", name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".png") {
			if _, err := png.Decode(bytes.NewReader(text)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	first, err := figures[0].PNG()
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := FromReport(r, 4)[0].PNG(); !bytes.Equal(first, second) {
		t.Error("two drawings of one figure differ")
	}
	if page := ForPage(r); len(page) != len(figures) || page[0].Panels[0].SVG == nil {
		t.Errorf("the page holds %d figures", len(page))
	}
}
