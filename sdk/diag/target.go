package diag

import (
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/internal/host"
)

// Target is one adapted weight: delta W = Scale * B A with A of Rank x In and B of Out x Rank, added to a W of Out x In. It is a small
// value; copying it copies no weights.
type Target struct {
	Name        string // of the base tensor, "model.layers.0.self_attn.q_proj.weight"
	Rank        int    // as configured; the numerical rank of delta W can be smaller
	In, Out     int
	Scale       float64
	Alpha       float64
	FanInFanOut bool      // the checkpoint stores W as In x Out; the diagnostic sees Out x In all the same
	RsLoRA      bool      // Scale is Alpha / sqrt(Rank) rather than Alpha / Rank
	BaseDType   abi.DType // what the checkpoint stores W in; 0 where no base is granted
	FactorDType abi.DType // what the adapter stores A and B in

	run         *Run
	index, peer int32
	a, b, base  int32
}

func newTarget(run *Run, name string, index, peer int32, raw *[abi.TargetInfoSize]byte) Target {
	var info abi.TargetInfo
	info.Decode(raw[:])
	return Target{
		Name: name, Rank: int(info.Rank), In: int(info.In), Out: int(info.Out), Scale: info.Scale, Alpha: info.Alpha,
		FanInFanOut: info.Flags&abi.FlagFanInFanOut != 0, RsLoRA: info.Flags&abi.FlagRsLoRA != 0,
		BaseDType: info.BaseDType, FactorDType: info.FactorDType,
		run: run, index: index, peer: peer, a: info.A, b: info.B, base: info.Base,
	}
}

// A gives the Rank x In factor.
func (t Target) A() Tensor { return tensor(t.a) }

// B gives the Out x Rank factor.
func (t Target) B() Tensor { return tensor(t.b) }

// Base gives the Out x In weight; false when the base was not granted, and for the target of a Peer.
func (t Target) Base() (Tensor, bool) { return tensor(t.base), t.base >= 0 }

// DeltaSVD gives the singular triples of delta W, as many as its numerical rank. It needs the capability kernels.
func (t Target) DeltaSVD() (Triples, error) { return DeltaSVD(t.B(), t.A(), t.Scale) }

// DeltaValues gives the singular values of delta W alone, largest first, as many as its numerical rank. It needs the capability kernels.
func (t Target) DeltaValues() ([]float64, error) { return DeltaValues(t.B(), t.A(), t.Scale) }

// BaseSVD gives the top k singular triples of W. They are computed once for a base and cached; the module's manifest must ask for them
// with base_svd_rank. It needs the capability base.
func (t Target) BaseSVD(k int) (Triples, error) {
	var handles [3]int32
	if status := host.BaseSVD(t.index, int32(k), &handles); status < 0 {
		return Triples{}, failure("base_svd of "+t.Name, status)
	}
	return newTriples(handles)
}

// RoundLoss tells what storing W + delta W in dtype does to delta W; 0 is the checkpoint's own dtype. It needs the capability base.
func (t Target) RoundLoss(dtype abi.DType) (abi.RoundLoss, error) {
	var raw [abi.RoundLossSize]byte
	if status := host.RoundLoss(t.index, int32(dtype), &raw); status < 0 {
		return abi.RoundLoss{}, failure("round_loss of "+t.Name, status)
	}
	var loss abi.RoundLoss
	loss.Decode(raw[:])
	return loss, nil
}

// Rounding tells what storing W + delta W in each of the formats does to delta W, over rows rows of W from first on as they lie in the
// checkpoint: there are Out of them, or In where FanInFanOut. It goes over those rows once for all formats. A format of blocks gives
// abi.Shape where a row is no multiple of its block. It needs the capability base.
func (t Target) Rounding(first, rows int, formats ...abi.Format) ([]abi.Rounding, error) {
	raw := make([]byte, len(formats)*abi.RoundingSize)
	if status := host.Rounding(t.index, int64(first), int64(rows), formats, raw); status < 0 {
		return nil, failure("rounding of "+t.Name, status)
	}
	roundings := make([]abi.Rounding, len(formats))
	for i := range roundings {
		roundings[i].Decode(raw[i*abi.RoundingSize:])
	}
	return roundings, nil
}

// MergedSVD gives the top k singular triples of W + delta W, which is not rounded. It goes over W many times. It needs the capability
// base.
func (t Target) MergedSVD(k int) (Triples, error) {
	var handles [3]int32
	if status := host.MergedSVD(t.index, int32(k), &handles); status < 0 {
		return Triples{}, failure("merged_svd of "+t.Name, status)
	}
	return newTriples(handles)
}

// Metric reports a number about this weight; on the target of a Peer, about the two adapters on this weight.
func (t Target) Metric(name string, value float64) { t.run.metric(t.index, t.peer, name, value) }

// Grid reports a matrix, row-major, about this weight; on the target of a Peer, about the two adapters on this weight.
func (t Target) Grid(name string, rows, cols int, values []float64) {
	t.run.grid(t.index, t.peer, name, rows, cols, values)
}

// Finding reports what was noticed about this weight. The report names the weight, so the message need not; see Run.Finding.
func (t Target) Finding(severity abi.Severity, code, message, hint string, value, limit float64) {
	t.run.finding(t.index, severity, code, message, hint, value, limit)
}

// Peer is another adapter on the same base, to compare with.
type Peer struct {
	Name string // its digest

	run   *Run
	index int32
}

// Target gives the peer's factors for the weight that t is, or false where the peer does not adapt it. What is reported on the result
// is about both adapters.
func (p Peer) Target(t Target) (Target, bool) {
	var raw [abi.TargetInfoSize]byte
	if status := host.PeerTarget(p.index, t.index, &raw); status < 0 {
		if abi.Status(status) != abi.NotFound {
			p.run.keep(failure("peer_target of "+t.Name, status))
		}
		return Target{}, false
	}
	return newTarget(p.run, t.Name, t.index, p.index, &raw), true
}

// Metric reports a number about the two adapters as a whole.
func (p Peer) Metric(name string, value float64) { p.run.metric(abi.NoTarget, p.index, name, value) }

// Grid reports a matrix, row-major, about the two adapters as a whole.
func (p Peer) Grid(name string, rows, cols int, values []float64) {
	p.run.grid(abi.NoTarget, p.index, name, rows, cols, values)
}
