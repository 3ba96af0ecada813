package interference

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// against gives a target that changes the directions of t by -share of what t does and adds rank random directions of noise.
func against(t diagtest.Target, share, noise float64) diagtest.Target {
	out := random("noise", t.Name, t.B.Rows, t.A.Cols, t.A.Rows, 1)
	rank := t.A.Rows
	a, b := diagtest.Zeros(2*rank, t.A.Cols), diagtest.Zeros(t.B.Rows, 2*rank)
	copy(a.Values, t.A.Values)
	copy(a.Values[rank*t.A.Cols:], out.A.Values)
	for i := range t.B.Rows {
		for k := range rank {
			b.Values[i*2*rank+k] = -share * t.Scale * t.B.At(i, k)
			b.Values[i*2*rank+rank+k] = noise * out.B.At(i, k)
		}
	}
	out.A, out.B = a, b
	return out
}

func TestClash(t *testing.T) {
	own := make([]diagtest.Target, 8)
	for i := range own {
		own[i] = random("own", strconv.Itoa(i), 64, 96, 3, 1)
	}
	other := func(name string) diagtest.Target { return random("other", name, 64, 96, 3, 1) }
	tests := []struct {
		name     string
		theirs   func(own diagtest.Target) diagtest.Target
		clashes  int // how many weights are made so; the others are independent
		severity abi.Severity
		found    bool
	}{
		{"all opposed", func(x diagtest.Target) diagtest.Target { return against(x, 1, 0.7) }, 8, abi.Warn, true},
		{"one opposed", func(x diagtest.Target) diagtest.Target { return against(x, 1, 0.7) }, 1, abi.Info, true},
		{"copies", func(x diagtest.Target) diagtest.Target { return x }, 8, 0, false},
		{"independent", func(x diagtest.Target) diagtest.Target { return other(x.Name) }, 8, 0, false},
		{"the same inputs only", func(x diagtest.Target) diagtest.Target {
			y := other(x.Name)
			y.A = x.A
			return y
		}, 8, 0, false},
		{"the same outputs only", func(x diagtest.Target) diagtest.Target {
			y := other(x.Name)
			y.B = x.B
			return y
		}, 8, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			theirs := make([]diagtest.Target, len(own))
			for i, x := range own {
				if theirs[i] = other(x.Name); i < test.clashes {
					theirs[i] = test.theirs(x)
				}
			}
			report := run(t, nil, own, peer(peerName, theirs...))
			if !test.found {
				if len(report.Findings) > 0 {
					t.Errorf("findings are %v", report.Findings)
				}
				wantMetric(t, report, "", peerName, "clashes", 0)
				return
			}
			if codes := report.Codes(); !slices.Equal(codes, []string{"CLASH"}) {
				t.Fatalf("findings are %v", report.Findings)
			}
			finding := report.Findings[0]
			says := "it and " + peerName + " write over each other in " + strconv.Itoa(test.clashes) + " of the 8 weights"
			if finding.Severity != test.severity || !strings.HasPrefix(finding.Message, says) {
				t.Errorf("severity %d, message %q, want %d and %q", finding.Severity, finding.Message, test.severity, says)
			}
			wantMetric(t, report, "", peerName, "clashes", float64(test.clashes))
			if blowup, _ := report.Metric("0", peerName, "norm_blowup"); blowup >= 0.9 {
				t.Errorf("norm_blowup is %g", blowup)
			}
		})
	}
}

// Where the rank is as large as a side of the weight, every overlap there is 1 and has no z; a change and its opposite clash all the same.
// Where that is so of both sides, only the cosine can tell a clash.
func TestClashOfFullRank(t *testing.T) {
	for _, test := range []struct {
		name    string
		out, in int
		opposed bool
		clashes float64
	}{{"opposed, outputs whole", 6, 40, true, 8}, {"opposed, inputs whole", 40, 6, true, 8}, {"opposed, both whole", 6, 6, true, 8},
		{"independent, outputs whole", 6, 40, false, 0}, {"independent, both whole", 6, 6, false, 0}} {
		t.Run(test.name, func(t *testing.T) {
			var own, theirs []diagtest.Target
			for i := range 8 {
				x, y := random("own", strconv.Itoa(i), test.out, test.in, 6, 1), random("other", strconv.Itoa(i), test.out, test.in, 6, 1)
				if test.opposed {
					y = x
					y.Scale = -1
				}
				own, theirs = append(own, x), append(theirs, y)
			}
			wantMetric(t, run(t, nil, own, peer(peerName, theirs...)), "", peerName, "clashes", test.clashes)
		})
	}
}

// The same delta in other factors interferes in the same way; alpha changes how much is added, and not where nor against what.
func TestInvariance(t *testing.T) {
	own := random("own", "w", 24, 30, 3, 2)
	adapter := configured(t, nil, []diagtest.Target{own}, peer(peerName, against(own, 0.5, 1)))
	all := diagtest.Comparison{Absolute: 1e-9}
	diagtest.Invariant(t, adapter, Diagnose, all, diagtest.SameChange()...)
	directions := all
	directions.Only = []string{"cosine", "overlap_left", "overlap_right", "sign_opposed", "sign_conflict", "sign_disagreement", "contested"}
	diagtest.Invariant(t, adapter, Diagnose, directions, diagtest.Rescale(7))
	want := diagtest.MustRun(t, adapter, Diagnose)
	t.Run("swapped", func(t *testing.T) {
		both := all
		both.Only = append([]string{"norm_blowup", "overlap_left_z"}, directions.Only...)
		both.Check(t, diagtest.MustRun(t, diagtest.Swap(adapter), Diagnose), want)
	})
	t.Run("negative", func(t *testing.T) {
		got := diagtest.MustRun(t, diagtest.Rescale(-1).On(adapter), Diagnose)
		diagtest.Comparison{Absolute: 1e-9, Only: []string{"overlap_left", "overlap_right"}}.Check(t, got, want)
		diagtest.Comparison{Absolute: 1e-12, Only: []string{"cosine"}, Factors: map[string]float64{"cosine": -1}}.Check(t, got, want)
		x, ok := got.Metric("w", peerName, "sign_opposed")
		y, _ := want.Metric("w", peerName, "sign_opposed")
		if !ok || math.Abs(x+y-1) > 1e-12 {
			t.Errorf("sign_opposed is %g, %t, want %g", x, ok, 1-y)
		}
	})
	mirrored := all
	mirrored.Only = []string{"cosine", "norm_blowup", "sign_opposed", "sign_conflict", "contested", "overlap_*"}
	mirrored.Rename = strings.NewReplacer("left", "right", "right", "left").Replace
	diagtest.Invariant(t, adapter, Diagnose, mirrored, diagtest.Transpose())
}
