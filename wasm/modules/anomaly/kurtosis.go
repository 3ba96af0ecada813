package anomaly

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/rows"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// blockEntries bounds the entries of delta W that are held at a time.
const blockEntries = 1 << 16

// kurtosis is Pearson's, the fourth central moment over the squared variance, of the entries of delta W: 3 for normal noise. Rows of B times
// A are computed on the host, block by block. Of a delta W with more than limit entries a sample of rows speaks, which depends on the name and
// the shape of the weight alone: every adapter of a bank is measured on the same rows. It is false where the entries do not vary.
func kurtosis(target diag.Target, norm, limit float64) (float64, bool, error) {
	chosen := sample(target.Name, target.Out, int(math.Max(1, math.Min(float64(target.Out), limit/float64(target.In)))))
	// In units of the root mean square of an entry, so that no power leaves the range of a float.
	unit := norm / math.Abs(target.Scale) / math.Sqrt(float64(target.Out)*float64(target.In))
	var sums moments
	step := max(1, blockEntries/target.In)
	block := make([]float64, min(step, len(chosen))*target.In)
	for first := 0; first < len(chosen); first += step {
		some := chosen[first:min(first+step, len(chosen))]
		product, err := rows.Product(target, some)
		if err != nil {
			return 0, false, err
		}
		block = block[:len(some)*target.In]
		err = product.Read64(block, 0)
		product.Drop()
		if err != nil {
			return 0, false, err
		}
		for _, entry := range block {
			sums.add(entry / unit)
		}
	}
	value, ok := sums.kurtosis()
	return value, ok, nil
}

// moments are sums of powers. The values are of size one, and their mean is small against it unless they hardly vary.
type moments struct{ n, first, second, third, fourth float64 }

func (m *moments) add(x float64) {
	square := x * x
	m.n++
	m.first += x
	m.second += square
	m.third += float64(square * x) // never fused, so that every machine gives the same bits
	m.fourth += float64(square * square)
}

// leastVariance is the variance below which the sums of powers have lost half of their digits.
const leastVariance = 1e-8

func (m *moments) kurtosis() (float64, bool) {
	mean := m.first / m.n
	second, third, fourth := m.second/m.n, m.third/m.n, m.fourth/m.n
	square := mean * mean
	variance := second - square
	if !(variance > leastVariance) {
		return 0, false
	}
	central := fourth - float64(4*mean*third) + float64(6*square*second) - float64(3*square*square)
	return central / (variance * variance), true
}

// sample gives k of n rows in ascending order, all where k is n.
func sample(name string, n, k int) []int {
	stream := splitmix.New("anomaly kurtosis", name, 0)
	return stream.Sample(k, n)
}
