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

// families are the labels of every metric that a server has after some use, by its name.
func families(t *testing.T) map[string]string {
	t.Helper()
	f := newFake(t)
	s := newServer(t, f)
	do(t, s, "/v1/load_lora_adapter", `{"lora_name":"chat","lora_path":"/a"}`)
	do(t, s, "/v1/completions", `{"model":"chat","prompt":"hello"}`)
	f.verdict = report.Deny
	do(t, s, "/v1/load_lora_adapter", `{"lora_name":"bad","lora_path":"/a"}`)
	f.tally.Step("stage", time.Second, true)
	families := map[string]string{}
	for name := range scrape(t, s) {
		family, labels, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
		var names []string
		for label := range strings.SplitSeq(labels, ";") {
			label, _, _ = strings.Cut(label, "=")
			names = append(names, label)
		}
		families[family] = strings.Join(names, ", ")
	}
	return families
}

// The table of docs/observability.md is that of the metrics: each of them with its labels, and no other.
func TestMetricsPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `((?:tenon_|vllm:)[a-z_]+)` \\| ([a-z_`, ]*) ?\\|")
	described := map[string]string{}
	for _, found := range row.FindAllStringSubmatch(string(text), -1) {
		described[found[1]] = strings.TrimSpace(strings.ReplaceAll(found[2], "`", ""))
	}
	families := families(t)
	for name, labels := range families {
		if !strings.HasPrefix(name, "tenon_") && !strings.HasPrefix(name, "vllm:") {
			continue
		}
		if got, ok := described[name]; !ok || got != labels {
			t.Errorf("the page describes %s with labels %q (%v), the server has it with %q", name, got, ok, labels)
		}
	}
	for name := range described {
		if _, ok := families[name]; !ok {
			t.Errorf("the page describes %s, which the server does not have", name)
		}
	}
	metric := regexp.MustCompile(`tenon_[a-z_]+`)
	for _, name := range metric.FindAllString(string(text), -1) { // in the rules
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")
		if _, ok := families[name]; !ok {
			t.Errorf("the page speaks of %s, which the server does not have", name)
		}
	}
}

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
	families := families(t)
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
				if _, ok := families[name]; !ok {
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
