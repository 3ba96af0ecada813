package duplicates

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// adapter is a few weights with Gaussian factors.
func adapter(seed string) []diagtest.Target {
	var targets []diagtest.Target
	for i := range 6 {
		targets = append(targets, random(seed, strconv.Itoa(i), 30, 40, 3))
	}
	return targets
}

// changed gives the targets with another scale.
func changed(targets []diagtest.Target, factor float64) []diagtest.Target {
	targets = slices.Clone(targets)
	for i := range targets {
		targets[i].Scale *= factor
	}
	return targets
}

func TestPeers(t *testing.T) {
	own := adapter("own")
	half := append(slices.Clone(adapter("other")[:3]), own[3:]...)
	broken := slices.Clone(own)
	broken[2].A = own[2].A.Padded(3, 40)
	broken[2].A.Values[0] = math.Inf(1)
	tests := []struct {
		name   string
		peer   []diagtest.Target
		codes  []string
		exact  float64 // 0: not computed
		says   string
		silent bool // nothing is compared
	}{
		{"copy", changed(own, 3), []string{"NEAR_DUPLICATE"}, 1,
			"it makes a change in the same direction as sha256:beef, 0.33 times as large (cosine 1.0000 over the 6 weights that both adapt)", false},
		{"copy of the same size", own, []string{"NEAR_DUPLICATE"}, 1, "same direction as sha256:beef, as large (cosine", false},
		{"copy of a part", own[4:], []string{"NEAR_DUPLICATE"}, 1, "over the 2 weights that both adapt; 4 more only this one adapts)", false},
		{"opposite", changed(own, -0.5), []string{"OPPOSITE"}, -1, "in the opposite direction of sha256:beef, 2 times as large", false},
		{"unrelated", adapter("other"), nil, 0, "", false},
		{"half of it", half, nil, 0, "", false},
		{"broken in one weight", broken, []string{"DUPLICATES_UNDEFINED", "NEAR_DUPLICATE"}, 1, "not finite in 1 of 6 weights (2 is one)", false},
		{"changes nothing", changed(own, 0), []string{"DUPLICATES_UNDEFINED"}, 0, "changes nothing in the weights that both adapt", true},
		{"nothing in common", []diagtest.Target{random("x", "elsewhere", 3, 3, 1)}, nil, 0, "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, nil, diagtest.Adapter{Targets: own, Peers: []diagtest.Peer{{Name: "sha256:beef", Targets: test.peer}}})
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Fatalf("findings are %v, want %q", report.Findings, test.codes)
			}
			if len(test.codes) > 0 && !strings.Contains(report.Findings[0].Message, test.says) {
				t.Errorf("message is %q, want it to say %q", report.Findings[0].Message, test.says)
			}
			exact, ok := report.Metric("", "sha256:beef", "cosine_total")
			if ok != (test.exact != 0) || ok && math.Abs(exact-test.exact) > 1e-9 {
				t.Errorf("cosine_total is %g, %t, want %g", exact, ok, test.exact)
			}
			if size, ok := report.Metric("", "sha256:beef", "size_ratio"); ok != (test.exact != 0) || test.name == "copy" && math.Abs(size-1./3) > 1e-9 {
				t.Errorf("size_ratio is %g, %t", size, ok)
			}
			if _, ok := report.Metric("", "sha256:beef", "sketch_distance"); ok == test.silent {
				t.Errorf("sketch_distance is given: %t", ok)
			}
		})
	}
}

func TestOwnChangeHasNoSignature(t *testing.T) {
	broken, zero, cancelling := adapter("own"), changed(adapter("own"), 0), adapter("own")
	broken[1].B = diagtest.Zeros(30, 3)
	broken[1].B.Values[5] = math.NaN()
	for i, x := range cancelling {
		x.A, x.B = x.A.Padded(6, 40), x.B.Padded(30, 6)
		copy(x.A.Values[3*40:], x.A.Values[:3*40])
		for row := range 30 {
			for k := range 3 {
				x.B.Values[row*6+3+k] = -x.B.Values[row*6+k]
			}
		}
		cancelling[i] = x
	}
	bank := &diagtest.Bank{Names: []string{"aa"}, Adapter: [][]float64{make([]float64, features)}}
	for _, test := range []struct {
		name     string
		own      []diagtest.Target
		warns    bool
		features bool // they are kept, as zeros
	}{{"not finite", broken, true, false}, {"zero", zero, false, true}, {"factors that cancel", cancelling, false, true}} {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, nil, diagtest.Adapter{Targets: test.own, Peers: []diagtest.Peer{{Name: "p", Targets: adapter("p")}}, Bank: bank})
			codes := report.Codes()
			if !slices.Equal(codes, []string{"DUPLICATES_UNDEFINED"}) || (report.Findings[0].Severity == diag.Warn) != test.warns {
				t.Errorf("findings are %v", report.Findings)
			}
			grid, ok := report.Grid("", "", "features")
			if ok != test.features || ok && slices.Max(grid.Values) != 0 {
				t.Errorf("features are %v, %t", grid.Values, ok)
			}
			if _, ok := report.Grid("", "", "signature"); ok || len(report.Metrics) > 0 {
				t.Errorf("there is a signature or a metric: %v", report.Metrics)
			}
		})
	}
}

func TestBank(t *testing.T) {
	own := adapter("own")
	same := featuresOf(t, own...)
	near := slices.Clone(own)
	near[0].B = near[0].B.Scaled(0.9)
	close := featuresOf(t, near...)
	opposite := featuresOf(t, changed(own, -2)...)
	other := featuresOf(t, adapter("other")...)
	nan := make([]float64, features)
	for i := range nan {
		nan[i] = math.NaN()
	}
	bank := func(rows ...[]float64) *diagtest.Bank {
		b := &diagtest.Bank{}
		for i, row := range rows {
			b.Names, b.Adapter = append(b.Names, "ab"+strconv.Itoa(i)), append(b.Adapter, row)
		}
		return b
	}
	many := make([][]float64, 13)
	for i := range many {
		many[i] = same[:]
	}
	const absent = -1
	tests := []struct {
		name     string
		bank     *diagtest.Bank
		self     string
		codes    []string
		says     string
		compared float64
		nearest  float64
		within   float64
	}{
		{"a copy and others", bank(other[:], same[:], nan, make([]float64, features), close[:]), "", []string{"DUPLICATE", "DUPLICATE"},
			"in nearly the same direction as ab1 of the bank, about as large (estimated cosine 1.00", 3, 0, 0},
		{"opposite", bank(opposite[:]), "", []string{"OPPOSITE"}, "in nearly the opposite direction of ab0 of the bank, about 0.5 times as large (estimated cosine -1.00", 1, 256, 0},
		{"itself", bank(same[:]), "sha256:ab0", nil, "", 0, absent, 0},
		{"unrelated", bank(other[:]), "", nil, "", 1, 128, 50},
		{"empty", bank(), "", nil, "", absent, absent, 0},
		{"many copies", bank(many...), "", slices.Repeat([]string{"DUPLICATE"}, 11), "ab0", 13, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, nil, diagtest.Adapter{Targets: own, Bank: test.bank, Attrs: map[string]string{"adapter.digest": test.self}})
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Fatalf("findings are %v, want %q", report.Findings, test.codes)
			}
			if len(test.codes) > 0 && !strings.Contains(report.Findings[0].Message, test.says) {
				t.Errorf("message is %q, want it to say %q", report.Findings[0].Message, test.says)
			}
			if n := len(report.Findings); n > 10 && !strings.HasPrefix(report.Findings[10].Message, "and 3 more of the bank") {
				t.Errorf("the last message is %q", report.Findings[10].Message)
			}
			compared, ok := report.Metric("", "", "bank_compared")
			if ok != (test.compared != absent) || ok && compared != test.compared {
				t.Errorf("bank_compared is %g, %t, want %g", compared, ok, test.compared)
			}
			nearest, ok := report.Metric("", "", "bank_nearest_distance")
			if ok != (test.nearest != absent) || ok && math.Abs(nearest-test.nearest) > test.within {
				t.Errorf("bank_nearest_distance is %g, %t, want %g", nearest, ok, test.nearest)
			}
		})
	}
}

// An adapter that is both a peer and in the bank is named once.
func TestPeerOfTheBankIsNamedOnce(t *testing.T) {
	own := adapter("own")
	f := featuresOf(t, own...)
	report := run(t, nil, diagtest.Adapter{
		Targets: own, Peers: []diagtest.Peer{{Name: "sha256:cafe", Targets: own}},
		Bank: &diagtest.Bank{Names: []string{"cafe"}, Adapter: [][]float64{f[:]}},
	})
	if codes := report.Codes(); !slices.Equal(codes, []string{"NEAR_DUPLICATE"}) {
		t.Errorf("findings are %v", report.Findings)
	}
}

func TestBankOfAnotherWidth(t *testing.T) {
	report := diagtest.Run(t, diagtest.Adapter{
		Targets: adapter("own"), Bank: &diagtest.Bank{Names: []string{"a"}, Adapter: [][]float64{{1, 2}}},
		Params: map[string]float64{"max_distance": 40, "near_cosine": 0.95},
	}, Diagnose)
	if report.Err == nil || !strings.Contains(report.Err.Error(), "2 features") {
		t.Errorf("error is %v", report.Err)
	}
}
