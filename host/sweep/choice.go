package sweep

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// Question is how a rank is chosen.
type Question struct {
	By        string  // a column of the evaluation; "" is the first one that is known
	Higher    *bool   // whether more of it is better; nil looks it up
	Tolerance float64 // share of the best value by which a smaller rank may be worse: 0.01
}

// Choice is the smallest rank that is as good as the best, as far as the runs can tell.
type Choice struct {
	By        string        `json:"by"`
	Higher    bool          `json:"higherIsBetter"`
	Rank      int           `json:"rank"`
	Value     report.Number `json:"value"` // mean over the runs of that rank
	Best      int           `json:"bestRank"`
	BestValue report.Number `json:"bestValue"`
	Tolerance float64       `json:"tolerance"` // as it was asked for
	Allowed   report.Number `json:"allowed"`   // how much worse than the best a smaller rank may be: by the tolerance, or the spread if more
	// Spread is the largest difference between two runs of one rank; NaN where every rank has one run. Range is that between the best and the
	// worst rank.
	Spread      report.Number `json:"spread"`
	Range       report.Number `json:"range"`
	WithinNoise bool          `json:"withinNoise"` // the spread is as large as the range: the runs do not tell the ranks apart
	Repeated    []int         `json:"repeated"`    // ranks with several runs
	Missing     []string      `json:"missing"`     // runs without a result
}

// Choose answers a question. The answer is nil, with a reason, where there is nothing to choose by: no evaluation, or one rank only.
func (s *Sweep) Choose(q Question) (*Choice, string, error) {
	if q.Tolerance < 0 || math.IsNaN(q.Tolerance) || q.Tolerance >= 1 {
		return nil, "", fault.New(fault.UsageFlag, "a tolerance of %v is none", q.Tolerance).Fix("give a share of the best value, such as 0.01")
	}
	if len(s.Columns) == 0 {
		if q.By != "" {
			return nil, "", fault.New(fault.UsageFlag, "there are no results to choose by %s", q.By).Fix("give them with --eval FILE")
		}
		return nil, "no rank is recommended: nothing says how good the adapters are. Give results with --eval FILE.", nil
	}
	c := &Choice{By: q.By, Tolerance: q.Tolerance, Missing: []string{}, Repeated: []int{}}
	if c.By == "" {
		if place(s.Columns[0]) == len(known) {
			return nil, "no rank is recommended: none of " + strings.Join(s.Columns, ", ") + " is a metric that is known. Choose one with --by.", nil
		}
		c.By = s.Columns[0]
	}
	if !slices.Contains(s.Columns, c.By) {
		return nil, "", fault.New(fault.UsageFlag, "no adapter has a result %q", c.By).Fix("choose one of: %s", strings.Join(s.Columns, ", "))
	}
	if q.Higher != nil {
		c.Higher = *q.Higher
	} else if higher, ok := higherIsBetter(c.By); ok {
		c.Higher = higher
	} else {
		return nil, "", fault.New(fault.UsageFlag, "whether more or less of %q is better is not known", c.By).Fix("give --higher, or --higher=false")
	}
	ranks, means := s.means(c)
	if len(ranks) < 2 {
		return nil, "no rank is recommended: there are results of one rank only.", nil
	}
	c.pick(ranks, means)
	return c, "", nil
}

// means are the mean results of each rank that has one, in the order of ranks. It finds the runs without and the spread.
func (s *Sweep) means(c *Choice) (ranks []int, means []float64) {
	spread := math.NaN()
	for _, rank := range s.ranks() {
		var values []float64
		for _, run := range s.Runs {
			if run.Rank != rank {
				continue
			}
			if v, ok := run.Evaluation[c.By]; ok {
				values = append(values, v)
			} else {
				c.Missing = append(c.Missing, run.Name)
			}
		}
		if len(values) == 0 {
			continue
		}
		if len(values) > 1 {
			c.Repeated = append(c.Repeated, rank)
			if width := slices.Max(values) - slices.Min(values); !(width <= spread) {
				spread = width
			}
		}
		ranks, means = append(ranks, rank), append(means, mean(values))
	}
	c.Spread = report.Number(spread)
	return ranks, means
}

// pick chooses among ranks, which ascend.
func (c *Choice) pick(ranks []int, means []float64) {
	sign := 1.0
	if c.Higher {
		sign = -1
	}
	best := 0
	for i, v := range means {
		if sign*v < sign*means[best] {
			best = i
		}
	}
	spread := float64(c.Spread)
	width := slices.Max(means) - slices.Min(means)
	allowed := c.Tolerance * math.Abs(means[best])
	if spread > allowed {
		allowed = spread
	}
	c.Best, c.BestValue, c.Range, c.Allowed = ranks[best], report.Number(means[best]), report.Number(width), report.Number(allowed)
	c.WithinNoise = spread >= width
	for i, v := range means {
		if sign*(v-means[best]) <= allowed {
			c.Rank, c.Value = ranks[i], report.Number(v)
			break
		}
	}
}

// Sentences say the choice to a person: what to take, how sure that is, and what is missing.
func (c *Choice) Sentences() []string {
	within := fmt.Sprintf("within %s of the best", percent(c.Tolerance))
	if float64(c.Allowed) > c.Tolerance*math.Abs(float64(c.BestValue)) {
		within = "as good as the best within what seeds differ by"
	}
	var said []string
	switch {
	case c.WithinNoise:
		said = append(said, fmt.Sprintf("within noise: two runs of one rank differ by %s in %s, and the ranks by %s. This sweep does not tell its "+
			"ranks apart; the smallest, rank %d, is as good as any.", number(float64(c.Spread)), c.By, number(float64(c.Range)), c.Rank))
	case c.Rank == c.Best:
		said = append(said, fmt.Sprintf("rank %d: it has the best %s, %s, and no smaller rank is %s.", c.Rank, c.By, number(float64(c.Value)), within))
	default:
		said = append(said, fmt.Sprintf("rank %d: the smallest rank %s. %s is %s there, and %s at rank %d.", c.Rank, within, c.By,
			number(float64(c.Value)), number(float64(c.BestValue)), c.Best))
	}
	switch {
	case len(c.Repeated) == 0:
		said = append(said, "no error bars: there is one run of each rank, so a difference may be luck. Train a second seed of the ranks that "+
			"matter.")
	case !c.WithinNoise:
		said = append(said, fmt.Sprintf("%s with several runs: they differ by up to %s, and the ranks by %s.", ranksText(c.Repeated),
			number(float64(c.Spread)), number(float64(c.Range))))
	}
	if len(c.Missing) > 0 {
		said = append(said, fmt.Sprintf("without a result: %s.", strings.Join(c.Missing, ", ")))
	}
	return said
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'g', 4, 64) + " %" }

func rankText(rank int) string { return "rank " + strconv.Itoa(rank) }

func ranksText(ranks []int) string {
	if len(ranks) == 1 {
		return rankText(ranks[0])
	}
	words := make([]string, len(ranks))
	for i, rank := range ranks {
		words[i] = strconv.Itoa(rank)
	}
	return "ranks " + strings.Join(words, ", ")
}
