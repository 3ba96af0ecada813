package interference

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/reference"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

const peerName = "sha256:peer"

// The signs and overlaps wanted are what sign_conflict and interference of ref_diag.py give for the two adapters of golden_diag.json; of
// the 9 positions that both keep at density 0.2, numpy counts 5 with opposite signs.
func TestReference(t *testing.T) {
	golden := reference.ReadDiagnostics(t)
	own, theirs := golden.Own(), golden.Theirs()
	for density, want := range map[float64]map[string]float64{
		0.2: {
			"cosine": golden.Cosine, "cosine_z": golden.Cosine * math.Sqrt(140), "norm_blowup": 0.9370693872199882,
			"overlap_left": 0.20896978786124062, "overlap_left_null": 5. / 14, "overlap_right": 0.43262411352318636, "overlap_right_null": 0.5,
			"sign_disagreement": 0.08928571428571429, "sign_conflict": 0.10638297872340426, "sign_opposed": 5. / 9, "contested": 5,
			"sign_disagreement_null": 4.5 / 56, "sign_conflict_null": 4.5 / 47, "sign_opposed_null": 0.5,
		},
		0.5: {"sign_disagreement": 0.14285714285714285, "sign_conflict": 0.18691588785046728},
		0.1: {"sign_disagreement": 0.03571428571428571, "sign_conflict": 0.038461538461538464},
	} {
		report := run(t, map[string]float64{"density": density}, []diagtest.Target{own}, peer(peerName, theirs))
		for name, value := range want {
			wantMetric(t, report, "w", peerName, name, value)
		}
		wantMetric(t, report, "", peerName, "cosine", golden.Cosine)
		wantMetric(t, report, "w", "", "norm_blowup_all", 0.9370693872199882)
		wantMetric(t, report, "", "", "norm_blowup_all", 0.9370693872199882)
	}
}

// Several weights and peers add up to what the dense deltas give.
func TestAdapterAsAWhole(t *testing.T) {
	adapter := func(seed string) []diagtest.Target {
		return []diagtest.Target{random(seed, "v", 20, 30, 3, 2), random(seed, "w", 25, 16, 2, -0.5)}
	}
	own, one, two := adapter("own"), adapter("one"), adapter("two")[1:]
	report := run(t, nil, own, peer("one", one...), peer("two", two...))
	var square, squares, inner, own2, one2 float64
	for i := range own {
		x, y := own[i].Delta().Values, one[i].Delta().Values
		z := make([]float64, len(x))
		if i == 1 {
			z = two[0].Delta().Values
		}
		var targetSquare, targetSquares float64
		for j := range x {
			targetSquare += (x[j] + y[j] + z[j]) * (x[j] + y[j] + z[j])
			targetSquares += x[j]*x[j] + y[j]*y[j] + z[j]*z[j]
			inner += x[j] * y[j]
			own2 += x[j] * x[j]
			one2 += y[j] * y[j]
		}
		wantMetric(t, report, own[i].Name, "", "norm_blowup_all", math.Sqrt(targetSquare/targetSquares))
		square += targetSquare
		squares += targetSquares
	}
	wantMetric(t, report, "", "", "norm_blowup_all", math.Sqrt(square/squares))
	wantMetric(t, report, "", "one", "cosine", inner/math.Sqrt(own2*one2))
	wantMetric(t, report, "", "one", "norm_blowup", math.Sqrt(1+2*inner/(own2+one2)))
	wantMetric(t, report, "", "one", "shared_targets", 2)
	wantMetric(t, report, "", "two", "shared_targets", 1)
	one0, _ := report.Metric("v", "one", "contested")
	one1, _ := report.Metric("w", "one", "contested")
	wantMetric(t, report, "", "one", "contested", one0+one1)
	if len(report.Findings) > 0 {
		t.Errorf("independent adapters have findings %v", report.Findings)
	}
}

// Of two independent random deltas, half of the positions that both keep are opposed.
func TestNullOfSigns(t *testing.T) {
	var own, theirs []diagtest.Target
	for i := range 12 {
		name := strconv.Itoa(i)
		own, theirs = append(own, random("own", name, 60, 80, 4, 1)), append(theirs, random("theirs", name, 60, 80, 4, 1))
	}
	report := run(t, nil, own, peer(peerName, theirs...))
	opposed, _ := report.Metric("", peerName, "sign_opposed")
	conflict, _ := report.Metric("", peerName, "sign_conflict")
	null, _ := report.Metric("", peerName, "sign_conflict_null")
	// 12 weights of 4800 entries, of which at least 4 % are kept by both: a binomial of 2300.
	if math.Abs(opposed-0.5) > 4*0.5/math.Sqrt(2300) || math.Abs(conflict-null) > 0.01 {
		t.Errorf("opposed is %g, want 0.5; conflict is %g, chance gives %g", opposed, conflict, null)
	}
}

func TestSingularCases(t *testing.T) {
	full := random("own", "w", 8, 9, 2, 1)
	theirs := random("theirs", "w", 8, 9, 2, 1)
	zero, broken, huge, elsewhere := full, full, full, theirs
	zero.B = diagtest.Zeros(8, 2)
	broken.A = diagtest.Zeros(2, 9)
	broken.A.Values[3] = math.NaN()
	huge.Scale = 1e200
	elsewhere.Name = "v"
	tests := []struct {
		name        string
		own, theirs diagtest.Target
		codes       []string
		blowup      bool // norms still add up
	}{
		{"own zero", zero, theirs, []string{"INTERFERENCE_UNDEFINED"}, true},
		{"their zero", full, zero, []string{"INTERFERENCE_UNDEFINED"}, true},
		{"both zero", zero, zero, []string{"INTERFERENCE_UNDEFINED"}, false},
		{"own broken", broken, theirs, []string{"INTERFERENCE_UNDEFINED w"}, false},
		{"their broken", full, broken, []string{"INTERFERENCE_UNDEFINED"}, false},
		{"own too large to square", huge, theirs, []string{"INTERFERENCE_UNDEFINED w"}, false},
		{"their too large to square", full, huge, []string{"INTERFERENCE_UNDEFINED"}, false},
		{"nothing in common", full, elsewhere, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, nil, []diagtest.Target{test.own}, peer(peerName, test.theirs))
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Errorf("findings are %v, want %q", report.Findings, test.codes)
			}
			if _, ok := report.Metric("w", peerName, "cosine"); ok {
				t.Error("there is a cosine")
			}
			if _, ok := report.Metric("w", "", "norm_blowup_all"); ok != test.blowup {
				t.Errorf("norm_blowup_all is there: %t", ok)
			}
			for _, m := range report.Metrics {
				if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
					t.Errorf("%s is %g", m.Name, m.Value)
				}
			}
		})
	}
	if report := run(t, nil, []diagtest.Target{full}); len(report.Metrics)+len(report.Findings) > 0 {
		t.Errorf("without peers: %+v", report)
	}
}

func run(t *testing.T, params map[string]float64, own []diagtest.Target, peers ...diagtest.Peer) *diagtest.Report {
	t.Helper()
	return diagtest.MustRun(t, configured(t, params, own, peers...), Diagnose)
}

// configured is an adapter and its peers as the manifest runs them, but for the parameters given.
func configured(t *testing.T, params map[string]float64, own []diagtest.Target, peers ...diagtest.Peer) diagtest.Adapter {
	t.Helper()
	return diagtest.Configured(t, "interference.json", diagtest.Adapter{Targets: own, Peers: peers, Params: params})
}

func peer(name string, targets ...diagtest.Target) diagtest.Peer {
	return diagtest.Peer{Name: name, Targets: targets}
}

// random is a target with Gaussian factors.
func random(seed, name string, out, in, rank int, scale float64) diagtest.Target {
	return diagtest.Target{Name: name, A: normal(seed+"a"+name, rank, in), B: normal(seed+"b"+name, out, rank), Scale: scale}
}

func normal(name string, rows, cols int) diagtest.Matrix {
	stream := splitmix.New("test", name, 0)
	return diagtest.Filled(rows, cols, stream.Normals)
}

func wantMetric(t *testing.T, report *diagtest.Report, target, with, name string, want float64) {
	t.Helper()
	if got, ok := report.Metric(target, with, name); !ok || !(math.Abs(got-want) <= max(1e-9*math.Abs(want), 1e-15)) {
		t.Errorf("%s of %q with %q is %.17g, %t, want %.17g", name, target, with, got, ok, want)
	}
}
