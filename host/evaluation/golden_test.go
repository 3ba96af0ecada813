package evaluation

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// golden is what golden_metrics.json holds of the metrics here: values printed by the original scripts.
type golden struct {
	Example     goldenCorpus `json:"example_inputs"`
	LeaveOneOut goldenCorpus `json:"e2e_test_leave_one_out"`
	Perl        struct {
		Example     goldenPerl `json:"example_inputs"`
		LeaveOneOut goldenPerl `json:"e2e_test_leave_one_out"`
	} `json:"perl_mteval"`
}

type goldenCorpus struct {
	N         int     `json:"n"`
	BLEU      float64 `json:"BLEU"`
	NIST      float64 `json:"NIST"`
	ROUGE     float64 `json:"ROUGE_L"`
	CIDEr     float64 `json:"CIDEr"`
	METEOR    float64 `json:"METEOR_ex_st_sy"`
	Mean      float64 `json:"METEOR_ex_st_sy_meanseg"`
	Exact     float64 `json:"METEOR_ex"`
	BLEUStats struct {
		Hits       [bleuOrder]int `json:"hits"`
		Candidates [bleuOrder]int `json:"cand"`
		Reference  int            `json:"ref"`
	} `json:"bleu_stats"`
	Segments []struct {
		Hypothesis string   `json:"hyp_tok"`
		References []string `json:"refs_tok"`
		ROUGE      float64  `json:"rouge_l"`
		CIDEr      float64  `json:"cider"`
		Meteor     string   `json:"meteor_stats_ex_st_sy"`
		METEOR     float64  `json:"meteor_ex_st_sy"`
	} `json:"segments"`
	References [][]string `json:"refs_raw"`
	Hypotheses []string   `json:"hyps_raw"`
}

type goldenPerl struct{ NIST, BLEU float64 }

const shared = "../../../shared"

func readGolden(t *testing.T) golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(shared, "reference", "golden_metrics.json"))
	if err != nil {
		t.Skipf("../shared/reference is absent: %v", err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGoldenExample(t *testing.T) {
	g := readGolden(t)
	corpus := &Corpus{}
	for i, hypothesis := range g.Example.Hypotheses {
		corpus.Segments = append(corpus.Segments, segment(hypothesis, g.Example.References[i]...))
	}
	compare(t, corpus, g.Example, g.Perl.Example)
}

// TestGoldenLeaveOneOut scores the first reference of each meaning of the test set that has several against the others, through the
// files that a user would write.
func TestGoldenLeaveOneOut(t *testing.T) {
	g := readGolden(t)
	data, err := os.ReadFile(filepath.Join(shared, "data", "e2e_test.txt"))
	if err != nil {
		t.Skipf("../shared/data is absent: %v", err)
	}
	var meanings []string
	texts := map[string][]string{}
	for line := range strings.Lines(string(data)) {
		meaning, text, _ := strings.Cut(line, "||")
		if texts[meaning] == nil {
			meanings = append(meanings, meaning)
		}
		texts[meaning] = append(texts[meaning], strings.TrimSpace(text))
	}
	var predictions, references []string
	for _, m := range meanings {
		if len(texts[m]) > 1 {
			predictions = append(predictions, texts[m][0])
			references = append(references, strings.Join(texts[m][1:], "\n"))
		}
	}
	corpus, err := Read(write(t, "predictions.txt", strings.Join(predictions, "\n")+"\n"), write(t, "references.txt", strings.Join(references, "\n\n")+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, corpus, g.LeaveOneOut, g.Perl.LeaveOneOut)
}

func compare(t *testing.T, corpus *Corpus, want goldenCorpus, perl goldenPerl) {
	t.Helper()
	if len(corpus.Segments) != want.N {
		t.Fatalf("%d segments, want %d", len(corpus.Segments), want.N)
	}
	bleu := corpus.bleu()
	if bleu.Hits != want.BLEUStats.Hits || bleu.Candidates != want.BLEUStats.Candidates || bleu.Reference != want.BLEUStats.Reference {
		t.Errorf("BLEU statistics %+v, want %+v", bleu, want.BLEUStats)
	}
	scores, err := corpus.Evaluate(Metrics(), Python)
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range []float64{want.BLEU, want.NIST, want.ROUGE, want.CIDEr, want.METEOR} {
		near(t, scores[i].Metric.Title(), scores[i].Value, value)
	}
	texts := corpus.ptb()
	for i, s := range want.Segments {
		if got := strings.Join(texts[i].prediction, " "); got != s.Hypothesis {
			t.Errorf("segment %d: prediction %q, want %q", i, got, s.Hypothesis)
		}
		for j, r := range s.References {
			if got := strings.Join(texts[i].references[j], " "); got != r {
				t.Errorf("segment %d: reference %q, want %q", i, got, r)
			}
		}
		near(t, "ROUGE-L of a segment", scores[2].Segments[i], s.ROUGE)
		near(t, "CIDEr of a segment", scores[3].Segments[i], s.CIDEr)
		near(t, "METEOR of a segment", scores[4].Segments[i], s.METEOR)
	}
	near(t, "mean METEOR", mean(scores[4].Segments), want.Mean)
	_, segments := meteor(texts, synonymMatcher)
	for i, s := range want.Segments {
		if got := segments[i].line(); got != s.Meteor {
			t.Errorf("segment %d: statistics\n%s, want\n%s", i, got, s.Meteor)
		}
	}
	exact, _ := meteor(texts, exactMatcher)
	near(t, "METEOR of equal words", exact.score(), want.Exact)
	nist, err := corpus.nist(Perl).Score()
	if err != nil {
		t.Fatal(err)
	}
	if printed := math.Round(nist*1e4) / 1e4; printed != perl.NIST {
		t.Errorf("NIST of the Perl script is %v, want %v to the four digits it prints", nist, perl.NIST)
	}
}

// line writes statistics as the original does: words, function words, for each of four matchers the content words and the function words
// in pairs, chunks, and words in pairs, each for the prediction and the reference. The fourth matcher is that of paraphrases.
func (m Meteor) line() string {
	numbers := []int{m.words[0], m.words[1], m.functions[0], m.functions[1]}
	for i := range matchers {
		numbers = append(numbers, m.content[i][0], m.content[i][1], m.function[i][0], m.function[i][1])
	}
	numbers = append(numbers, 0, 0, 0, 0, m.chunks, m.pairs, m.pairs)
	var b strings.Builder
	for _, n := range numbers {
		fmt.Fprintf(&b, " %d.0", n)
	}
	return b.String()[1:]
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*math.Abs(want)) {
		t.Errorf("%s is %.12g, want %.12g", what, got, want)
	}
}

func segment(prediction string, references ...string) Segment {
	s := Segment{Prediction: Line{1, prediction}}
	for i, r := range references {
		s.References = append(s.References, Line{i + 1, r})
	}
	return s
}

func write(t *testing.T, name, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
