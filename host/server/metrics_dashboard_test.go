package server

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/report"
)

// Every metric that the Grafana dashboard asks for is one that the server has, and the dashboard leaves none of Tenon's own out.
func TestGrafanaDashboard(t *testing.T) {
	text, err := os.ReadFile("../../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Rest map[string]any `json:",embed"`
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	s := newServer(t, f)
	do(t, s, "/v1/load_lora_adapter", `{"lora_name":"chat","lora_path":"/a"}`)
	do(t, s, "/v1/completions", `{"model":"chat","prompt":"hello"}`)
	f.verdict = report.Deny
	do(t, s, "/v1/load_lora_adapter", `{"lora_name":"bad","lora_path":"/a"}`)
	f.tally.Step("stage", time.Second, true)
	families := map[string]bool{}
	for name := range scrape(t, s) {
		family, _, _ := strings.Cut(name, "{")
		families[family] = true
	}
	asked := map[string]bool{}
	metric := regexp.MustCompile(`tenon_[a-z_]+`)
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("panel %q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			for _, name := range metric.FindAllString(target.Expr, -1) {
				name = strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")
				asked[name] = true
				if !families[name] {
					t.Errorf("panel %q asks for %s, which the server does not have", panel.Title, name)
				}
			}
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "tenon_") && !asked[name] && name != "tenon_http_request_duration_seconds" {
			t.Errorf("no panel shows %s", name)
		}
	}
}
