package adapter

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// isNumber reports whether alpha may be stored as d: trainers write what torch makes of the number they were given.
func isNumber(d tensor.DType) bool {
	switch d {
	case tensor.F64, tensor.F32, tensor.F16, tensor.BF16, tensor.I64, tensor.I32, tensor.I16, tensor.I8, tensor.U8:
		return true
	}
	return false
}

// number is the one value of a tensor that isNumber accepts.
func number(p []byte, d tensor.DType) float64 {
	switch d {
	case tensor.I64:
		return float64(int64(binary.LittleEndian.Uint64(p)))
	case tensor.I32:
		return float64(int32(binary.LittleEndian.Uint32(p)))
	case tensor.I16:
		return float64(int16(binary.LittleEndian.Uint16(p)))
	case tensor.I8:
		return float64(int8(p[0]))
	case tensor.U8:
		return float64(p[0])
	}
	var value [1]float64
	if tensor.ToF64(value[:], p, d) != nil {
		return math.NaN()
	}
	return value[0]
}

// alphaUnused reports whether the file's alpha is of no effect: a whole delta has no rank, and LyCORIS gives the product of two whole matrices
// the scale 1.
func (m *singleModule) alphaUnused() bool { return len(m.change.ranks) == 0 }

// readScale finds alpha and the scale alpha/rank. Without alpha in the file it is the rank. Rank-stabilized training needs nothing more: LyCORIS
// stores alpha·sqrt(rank) for it. The configuration that diffusers keeps in the metadata counts in place of alpha, where it has one.
func (k *kohya) readScale(a *Adapter, m *singleModule, settings map[string]*Config) {
	m.alpha, m.scale = 1, 1
	if m.alphaUnused() {
		return
	}
	rank := m.change.ranks[0]
	m.alpha = float64(rank)
	if m.has(alphaScalar) {
		t := m.tensor(a, alphaScalar)
		m.alpha = number(a.Weights.Bytes(t), t.DType)
		switch {
		case math.IsNaN(m.alpha) || math.IsInf(m.alpha, 0):
			k.refuse(a, m, alphaScalar, fault.New(fault.ADNonFinite, "alpha is %v", m.alpha).Fix("save the adapter again; this one is damaged"))
			return
		case m.alpha == 0:
			k.refuse(a, m, alphaScalar, fault.New(fault.ADAlpha, "alpha is 0, which Kohya's scripts read as the rank and other readers as no change; "+
				"no trainer writes it").Fix("store alpha as the number that the adapter was trained with, or leave it out where it is the rank"))
			return
		}
		if slices.Max(m.change.ranks) != slices.Min(m.change.ranks) {
			k.refuse(a, m, alphaScalar, fault.New(fault.ADRankMismatch, "the factors have ranks %d and %d, and which one alpha is divided by is not known",
				m.change.ranks[0], m.change.ranks[1]).Fix("save the adapter again with one rank"))
			return
		}
	}
	m.scale = m.alpha / float64(rank)
	if config := settings[m.prefix]; config != nil && !m.flat {
		k.useSettings(a, m, config)
	}
	if math.IsInf(m.scale, 0) {
		k.refuse(a, m, alphaScalar, fault.New(fault.ADAlpha, "alpha is %v, out of range for rank %d", m.alpha, rank).
			Fix("save the adapter again; this one is damaged"))
	}
}

// useSettings takes rank and scale of a module from the configuration that diffusers saved with it.
func (k *kohya) useSettings(a *Adapter, m *singleModule, config *Config) {
	if m.change.kind != twoFactors {
		return
	}
	if want := config.RankOf(m.name); want != m.change.rank {
		k.refuse(a, m, loraDown, fault.New(fault.ADRankMismatch, "the configuration in the metadata gives module %s rank %d, and the factors have rank %d",
			quoted(m.name), want, m.change.rank).Fix("save the adapter again; its metadata is of another one"))
		return
	}
	alpha := config.AlphaOf(m.name)
	scale := config.scale(alpha, m.change.rank)
	if m.has(alphaScalar) && scale != m.scale {
		k.refuse(a, m, alphaScalar, fault.New(fault.ADAlpha, "alpha gives the scale %v, and the configuration in the metadata %v", m.scale, scale).
			Fix("remove the one that is wrong"))
		return
	}
	if dora := m.has(doraVector) || m.has(doraScale); config.DoRA != dora {
		k.refuse(a, m, doraVector, fault.New(fault.ADPair, "the configuration in the metadata has use_dora %t, and module %s has magnitudes: %t",
			config.DoRA, quoted(m.name), dora).Fix("save the adapter again; its metadata is of another one"))
		return
	}
	m.alpha, m.scale = alpha, scale
}

// noteNegative tells of changes that are subtracted.
func (k *kohya) noteNegative(a *Adapter) {
	var names []string
	for _, m := range k.modules {
		if !m.broken && m.scale < 0 {
			names = append(names, quoted(m.shown()))
		}
	}
	if len(names) > 0 {
		a.Notes.Add(fault.New(fault.ADAlpha, "alpha is negative, so the change is subtracted, in %s: %s", plural(len(names), "module"), some(names)).
			In(a.Weights.Name()))
	}
}

// listed joins prefixes for a message.
func listed(prefixes []string) string {
	shown := make([]string, len(prefixes))
	for i, p := range prefixes {
		if shown[i] = p; p == "" {
			shown[i] = "(no prefix)"
		}
	}
	return strings.Join(shown, ", ")
}
