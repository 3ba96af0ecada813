package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/report"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/paper.md and draw its figures again")

const paperPage = "docs/paper.md"

// paper is what the commands of docs/paper.md print.
type paper struct {
	t       *testing.T
	compare map[string]*report.Report // by the names of both adapters
	check   map[string]*report.Report // by the adapter's name
	sweep   paperSweep
	models  []modelScores // of the stored evaluation
}

// paperSweep is what the page reads of a tenon.sweep/v1.
type paperSweep struct {
	Choice struct {
		By        string  `json:"by"`
		Rank      int     `json:"rank"`
		Value     float64 `json:"value"`
		BestRank  int     `json:"bestRank"`
		BestValue float64 `json:"bestValue"`
		Spread    float64 `json:"spread"`
		Range     float64 `json:"range"`
	} `json:"choice"`
	Runs []struct {
		Name  string `json:"name"`
		Rank  int    `json:"rank"`
		Kinds []struct {
			Label   string             `json:"label"`
			Medians map[string]float64 `json:"medians"`
		} `json:"kinds"`
		Evaluation map[string]float64 `json:"evaluation"`
	} `json:"runs"`
}

// TestPaper runs every command of docs/paper.md, in order, and holds the page's tables and figures against what they print and draw. The
// evaluation of the models takes too long for a test: its result is stored, and here its command asks one adapter for one text.
func TestPaper(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	page := readFile(t, filepath.Join(root, paperPage))
	t.Setenv("TENON_CACHE_DIR", t.TempDir())
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(root, "examples"), filepath.Join(dir, "examples")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	p := &paper{t: t, compare: map[string]*report.Report{}, check: map[string]*report.Report{}}
	decode(t, readFile(t, "examples/paper/evaluation.json"), &p.models)
	for _, line := range paperCommands(page) {
		p.run(line)
	}
	for _, name := range regexp.MustCompile(`!\[[^]]*\]\((figures/[^)]*)\)`).FindAllSubmatch(page, -1) {
		figure := string(name[1])
		drawn, shipped := readFile(t, figure), filepath.Join(root, "docs", figure)
		if *update {
			writeFile(t, shipped, drawn)
		} else if !bytes.Equal(drawn, readFile(t, shipped)) {
			t.Errorf("docs/%s is not what the page's command draws; run make paper", figure)
		}
	}
	got := p.fill(string(page))
	if *update {
		writeFile(t, filepath.Join(root, paperPage), []byte(got))
	} else if got != string(page) {
		t.Errorf("the tables of %s are not what the page's commands print; run make paper. They print\n%s", paperPage, got)
	}
}

// paperCommands are the command lines of a page, each put together where it goes on after a backslash.
func paperCommands(page []byte) [][]string {
	joined := regexp.MustCompile(`\\\n +`).ReplaceAll(page, nil)
	var lines [][]string
	for _, match := range regexp.MustCompile(`(?m)^    bin/tenon (.*)$`).FindAllSubmatch(joined, -1) {
		lines = append(lines, strings.Fields(string(match[1])))
	}
	return lines
}

// run runs a command of the page for its JSON.
func (p *paper) run(line []string) {
	p.t.Helper()
	var args, adapters []string
	for i, arg := range line {
		if arg == ">" {
			line = line[:i]
			break
		}
	}
	for i, arg := range line {
		switch matches, _ := filepath.Glob(arg); {
		case strings.ContainsRune(arg, '*'):
			slices.Sort(matches)
			args = append(args, matches...)
		case i > 0 && line[i-1] == "--limit":
			args = append(args, "1")
		case i > 0 && line[i-1] == "--adapter":
			if adapters = append(adapters, filepath.Base(arg)); len(adapters) > 1 {
				args = args[:len(args)-1] // one is enough to see that the command runs
				continue
			}
			args = append(args, arg)
		default:
			args = append(args, arg)
		}
		if i > 0 && !strings.HasPrefix(line[i-1], "--") && strings.HasPrefix(arg, "examples/paper/r") {
			adapters = append(adapters, filepath.Base(arg))
		}
	}
	if !slices.Contains(args, "-o") {
		args = append(args, "-o", "json")
	}
	var stdout, stderr bytes.Buffer
	if code := run(append(args, "-q"), &stdout, &stderr); code != exitOK {
		p.t.Fatalf("%s: exit code %d\n%s%s", strings.Join(line, " "), code, stdout.String(), stderr.String())
	}
	switch line[0] {
	case "compare", "check":
		r := &report.Report{}
		decode(p.t, stdout.Bytes(), r)
		if line[0] == "compare" {
			p.compare[strings.Join(adapters, " ")] = r
		} else {
			p.check[adapters[0]] = r
		}
	case "sweep":
		decode(p.t, stdout.Bytes(), &p.sweep)
	case "eval":
		var names []string
		for _, m := range p.models {
			names = append(names, m.Adapter)
		}
		if want := append([]string{""}, adapters...); !slices.Equal(names, want) {
			p.t.Errorf("the page evaluates %q, and the stored evaluation is of %q", want, names)
		}
	}
}

// fill puts the tables where the page marks them: between a line <!-- NAME --> and the next blank line.
func (p *paper) fill(page string) string {
	tables := map[string]func() string{
		"ranks":     func() string { return p.overlaps("r8-s0 r64-s1", 1, 2, 4, 8) },
		"start":     p.start,
		"seeds":     func() string { return p.overlaps("r64-s0 r64-s1", 1, 4, 16, 32) },
		"spread":    p.spread,
		"base":      p.base,
		"amplified": p.amplified,
		"curve":     p.curve,
		"lift":      p.lift,
		"evaluated": p.evaluated,
		"choice":    p.choice,
	}
	found := 0
	page = regexp.MustCompile(`(?m)^<!-- ([a-z]+) -->\n(?:.+\n)*`).ReplaceAllStringFunc(page, func(old string) string {
		mark, _, _ := strings.Cut(old, "\n")
		table, ok := tables[strings.Trim(mark, "<!- >")]
		if !ok {
			p.t.Fatalf("%s: nobody makes the table %s", paperPage, mark)
		}
		found++
		return mark + "\n" + table()
	})
	if found != len(tables) {
		p.t.Errorf("%s has %d of %d tables", paperPage, found, len(tables))
	}
	return page
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// mdTable is a table in Markdown.
func mdTable(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
	return b.String()
}
