package gate

import (
	"math"
	"slices"
	"strconv"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// input is what the modules of one check see. It is read by several runs at once and never changed.
type input struct {
	targets []sandbox.Target
	peers   []sandbox.Peer
	attrs   map[string]string
	bank    Bank // nil where there is none
}

// newInput aligns the views of the subject, its base and its peers. vectors may hold the base's singular triples of some targets.
func newInput(s Subject, views []view, vectors *vectors) *input {
	a, b := s.Binding.Adapter, s.Binding.Base
	in := &input{bank: s.Bank, attrs: map[string]string{
		"adapter.digest":    digest(a.Digest),
		"adapter.format":    a.Format,
		"init_lora_weights": a.Config.InitWeights,
	}}
	if b != nil {
		in.attrs["base.digest"], in.attrs["base.architecture"] = digest(b.Digest), architecture(b.Config)
	}
	if s.Probe != nil {
		for _, m := range probeMetrics(s.Probe) {
			in.attrs[probeModule+"."+m.Name] = strconv.FormatFloat(float64(m.Value), 'g', -1, 64)
		}
	}
	for _, v := range views {
		target := v.factors()
		if b != nil {
			target.Base = sandbox.Source{Ref: v.base.Ref, Reader: b.Reader(v.base)}
			target.BaseSVD = vectors.of(v.name)
		}
		in.targets = append(in.targets, *target)
	}
	for _, p := range s.Peers {
		peer := sandbox.Peer{Name: digest(p.Adapter.Digest)}
		theirs, _ := viewsOf(p)
		byName := make(map[string]*view, len(theirs))
		for i := range theirs {
			byName[theirs[i].name] = &theirs[i]
		}
		for _, v := range views {
			other := byName[v.name]
			if other == nil || other.target.In != v.target.In || other.target.Out != v.target.Out || other.target.FanInFanOut != v.target.FanInFanOut {
				peer.Targets = append(peer.Targets, nil)
				continue
			}
			peer.Targets = append(peer.Targets, other.factors())
		}
		in.peers = append(in.peers, peer)
	}
	return in
}

// architecture is the model class that config.json names first, or else the model type.
func architecture(c base.Config) string {
	if len(c.Architectures) > 0 {
		return c.Architectures[0]
	}
	return c.ModelType
}

// granted is the part of the input that a module may see, with its parameters.
func (in *input) granted(r *run) sandbox.Input {
	out := sandbox.Input{Targets: slices.Clone(in.targets), Attrs: in.attrs, Params: r.params}
	if r.granted(abi.CapPeers) {
		out.Peers = in.peers
	}
	for i := range out.Targets {
		if !r.granted(abi.CapBase) {
			out.Targets[i].Base = sandbox.Source{}
		}
		if !r.granted(abi.CapBase) || !r.requirement.BaseSVD {
			out.Targets[i].BaseSVD = sandbox.BaseSVD{}
		}
	}
	if in.bank != nil {
		out.Bank = in.remembered(r)
	}
	return out
}

// remembered is what the bank holds of a module's own earlier reports.
func (in *input) remembered(r *run) *sandbox.Bank {
	names := in.bank.Names()
	out := &sandbox.Bank{Names: names, Features: make([]sandbox.Matrix, 1+len(in.targets))}
	left := sandbox.MaxBankValues
	for i := range out.Features {
		rows := in.bank.Features(r.module.Manifest.ID, r.module.Manifest.Version, in.target(i-1))
		m := sandbox.Matrix{Rows: len(names)}
		for _, row := range rows {
			m.Cols = max(m.Cols, len(row))
		}
		if left -= m.Rows * m.Cols; m.Cols == 0 || left < 0 { // what no worker takes is not made; the bank says so when it is opened
			continue
		}
		m.Data = make([]float64, m.Rows*m.Cols)
		for j := range m.Data {
			m.Data[j] = math.NaN()
		}
		for j, row := range rows {
			copy(m.Data[j*m.Cols:(j+1)*m.Cols], row)
		}
		out.Features[i] = m
	}
	return out
}

// target is the name of a target by its index; "" stands for the adapter as a whole.
func (in *input) target(i int) string {
	if i < 0 || i >= len(in.targets) {
		return ""
	}
	return in.targets[i].Name
}

// peer is the digest of a peer by its index; "" stands for none.
func (in *input) peer(i int) string {
	if i < 0 || i >= len(in.peers) {
		return ""
	}
	return in.peers[i].Name
}
