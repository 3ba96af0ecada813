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

// The same delta in other factors interferes in the same way; alpha changes how much is added, and not where nor against what.
func TestInvariance(t *testing.T) {
	own := random("own", "w", 24, 30, 3, 2)
	theirs := against(own, 0.5, 1)
	g := diagtest.Rows([]float64{1, 2, 0}, []float64{0, 1, -3}, []float64{0, 0, 0.5})
	inverse := diagtest.Rows([]float64{1, -2, -12}, []float64{0, 1, 6}, []float64{0, 0, 2})
	refactored, scaled, negative, padded := own, own, own, own
	refactored.B, refactored.A = product(own.B, g), product(inverse, own.A)
	scaled.Scale *= 7
	negative.Scale *= -1
	padded.A, padded.B = embedded(own.A, 5, 30), embedded(own.B, 24, 5)
	want := run(t, nil, []diagtest.Target{own}, peer(peerName, theirs))
	value := func(report *diagtest.Report, name string) float64 {
		v, ok := report.Metric("w", peerName, name)
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		return v
	}
	names := []string{"cosine", "overlap_left", "overlap_right", "sign_opposed", "sign_conflict", "sign_disagreement", "contested"}
	same := func(t *testing.T, got *diagtest.Report, names ...string) {
		t.Helper()
		for _, name := range names {
			if x, y := value(got, name), value(want, name); math.Abs(x-y) > 1e-9 {
				t.Errorf("%s is %g, want %g", name, x, y)
			}
		}
	}
	for name, changed := range map[string]diagtest.Target{"B to BG, A to G^-1 A": refactored, "alpha": scaled, "rank padded": padded} {
		t.Run(name, func(t *testing.T) { same(t, run(t, nil, []diagtest.Target{changed}, peer(peerName, theirs)), names...) })
	}
	t.Run("swapped", func(t *testing.T) {
		same(t, run(t, nil, []diagtest.Target{theirs}, peer(peerName, own)), append(names, "norm_blowup", "overlap_left_z")...)
	})
	t.Run("negative", func(t *testing.T) {
		got := run(t, nil, []diagtest.Target{negative}, peer(peerName, theirs))
		same(t, got, "overlap_left", "overlap_right")
		if x, y := value(got, "cosine"), value(want, "cosine"); math.Abs(x+y) > 1e-12 {
			t.Errorf("cosine is %g, want %g", x, -y)
		}
		if x, y := value(got, "sign_opposed"), value(want, "sign_opposed"); math.Abs(x+y-1) > 1e-12 {
			t.Errorf("sign_opposed is %g, want %g", x, 1-y)
		}
	})
	t.Run("transposed", func(t *testing.T) {
		flip := func(x diagtest.Target) diagtest.Target {
			x.A, x.B = transposed(x.B), transposed(x.A)
			return x
		}
		got := run(t, nil, []diagtest.Target{flip(own)}, peer(peerName, flip(theirs)))
		same(t, got, "cosine", "norm_blowup", "sign_opposed", "sign_conflict", "contested")
		if x, y := value(got, "overlap_left_z"), value(want, "overlap_right_z"); math.Abs(x-y) > 1e-9 {
			t.Errorf("overlap_left_z is %g, want that of the right side, %g", x, y)
		}
	})
}

// embedded gives m in the corner of rows x cols zeros.
func embedded(m diagtest.Matrix, rows, cols int) diagtest.Matrix {
	out := diagtest.Zeros(rows, cols)
	for i := range m.Rows {
		copy(out.Values[i*cols:], m.Values[i*m.Cols:(i+1)*m.Cols])
	}
	return out
}

func transposed(m diagtest.Matrix) diagtest.Matrix {
	out := diagtest.Zeros(m.Cols, m.Rows)
	for i, value := range m.Values {
		out.Values[i%m.Cols*m.Rows+i/m.Cols] = value
	}
	return out
}
