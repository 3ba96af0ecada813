package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/figure"
	"github.com/tenon-ml/tenon/host/report"
)

func page(t *testing.T, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.HTML(&b, r, figure.ForPage(r)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var links = regexp.MustCompile(`(?i)(?:https?:)?//[a-z0-9.]+\.[a-z]{2,}[^"' <]*`)

func TestPageNeedsNothingElse(t *testing.T) {
	for name, r := range map[string]*report.Report{"full": report.FullReport(), "refused": report.RefusedReport(), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			text := page(t, r)
			if text != page(t, r) {
				t.Error("two renderings of one report differ")
			}
			for _, link := range links.FindAllString(text, -1) {
				if link != "http://www.w3.org/2000/svg" { // a name, which nobody fetches
					t.Errorf("the page names %s", link)
				}
			}
			for _, tag := range []string{"<link", "<script", "<iframe", "<object", "<embed", "@import", "url("} {
				if n := strings.Count(text, tag); n > 1 || (n == 1 && tag != "<link" && tag != "<script") {
					t.Errorf("%d times %s", n, tag)
				}
			}
		})
	}
}

func TestPageLetsOnlyItsOwnScriptRun(t *testing.T) {
	text := page(t, report.FullReport())
	_, script, _ := strings.Cut(text, "<script>")
	script, _, _ = strings.Cut(script, "</script>")
	sum := sha256.Sum256([]byte(script))
	want := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if !strings.Contains(html.UnescapeString(text), want) {
		t.Errorf("the page's policy does not hold %s", want)
	}
	if strings.Contains(text, "ZgotmplZ") {
		t.Error("the template found something unsafe in what it was given")
	}
}

func TestPageEscapesForeignText(t *testing.T) {
	text := page(t, hostileReport())
	for _, raw := range []string{"<script>window", "<img", "<b>", "\u202e", "\x1b"} {
		if strings.Contains(text, raw) {
			t.Errorf("the page holds %q as it stands", raw)
		}
	}
	if !strings.Contains(text, `\u202egnp\x1b[2J`) {
		t.Error("the page does not show what it escaped")
	}
}

func TestComparisonHasNoVerdict(t *testing.T) {
	r := report.FullReport()
	var b bytes.Buffer
	if err := report.ComparisonHTML(&b, r, nil, "RELATED", "they share <some> directions"); err != nil {
		t.Fatal(err)
	}
	_, banner, _ := strings.Cut(b.String(), `id="verdict"`)
	banner, _, _ = strings.Cut(banner, "</p>")
	if !strings.Contains(banner, "RELATED</strong> They share &lt;some&gt; directions") || strings.Contains(banner, "merged") {
		t.Errorf("the page opens with %s", banner)
	}
}

// largeReport is shaped like one of a model of 32 layers with seven adapted weights each, held against two others.
func largeReport() *report.Report {
	r := report.FullReport()
	r.Metrics, r.Grids, r.Coverage = nil, nil, report.Coverage{}
	r.Peers = append(r.Peers, report.Peer{Ref: "adapters/another", Digest: "sha256:" + strings.Repeat("c", 64)})
	for layer := range 32 {
		for k, kind := range []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"} {
			target := fmt.Sprintf("model.layers.%d.%s.weight", layer, kind)
			for _, side := range []string{"A", "B"} {
				r.Coverage.Add(report.Tensor{Name: "base_model.model." + target + ".lora_" + side, Disposition: report.Applied, Target: target})
			}
			for n := range 60 {
				r.Metrics = append(r.Metrics, report.Metric{Module: fmt.Sprintf("module-%d", n/10), Target: target, Name: fmt.Sprintf("metric_%d", n),
					Value: report.Number(math.Sin(float64(layer*n + k)))})
			}
			for _, name := range []string{"norm_ratio", "amplification", "amplification_random", "merge_gain", "merge_gain_nf4"} {
				r.Metrics = append(r.Metrics, report.Metric{Module: "weights", Target: target, Name: name, Value: report.Number(0.1 + float64(k)/10)})
			}
			for _, peer := range r.Peers {
				for n := range 30 {
					r.Metrics = append(r.Metrics, report.Metric{Module: "similarity", Target: target, With: peer.Digest, Name: fmt.Sprintf("phi_%d", n),
						Value: report.Number(math.Cos(float64(layer*n + k)))})
				}
				for _, name := range []string{"phi_delta", "phi_delta_left", "phi_a"} {
					g := report.Grid{Module: "similarity", Target: target, Name: name, With: peer.Digest, Rows: 16, Cols: 16}
					for i := range 16 {
						g.Values = append(g.Values, make([]report.Number, 16))
						for j := range 16 {
							g.Values[i][j] = report.Number(math.Abs(math.Sin(float64(i*j + layer + k))))
						}
					}
					r.Grids = append(r.Grids, g)
				}
			}
		}
	}
	return r
}

func TestPageOfALargeModelStaysSmall(t *testing.T) {
	const most = 4 << 20
	if size := len(page(t, largeReport())); size > most {
		t.Errorf("the page has %d bytes, more than %d", size, most)
	} else {
		t.Logf("%d bytes", size)
	}
}
