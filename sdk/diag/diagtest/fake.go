package diagtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/internal/host"
)

// fake is the host. It keeps to abi.Functions: statuses, what is written when, and who may call what.
type fake struct {
	t         testing.TB
	adapter   Adapter
	tensors   []held // by handle
	infos     []abi.TargetInfo
	peers     [][]*abi.TargetInfo // by peer and target; nil where the peer does not adapt it
	report    Report
	given     map[string]bool // metrics and grids
	gridSize  int
	lastError string
}

// held is a tensor of the run; matrix.Values is nil once dropped.
type held struct {
	matrix Matrix
	dtype  abi.DType
	base   bool // a weight of the base
	live   bool
}

var _ host.Host = (*fake)(nil)

func newFake(t testing.TB, adapter Adapter) (*fake, error) {
	adapter.Targets = sorted(adapter.Targets)
	f := &fake{t: t, adapter: adapter, given: map[string]bool{}}
	if err := adapter.Bank.check(); err != nil {
		return nil, err
	}
	for i, target := range adapter.Targets {
		if i > 0 && adapter.Targets[i-1].Name == target.Name {
			return nil, fmt.Errorf("diagtest: two targets are called %s", target.Name)
		}
		info, err := f.hold(target, true)
		if err != nil {
			return nil, err
		}
		f.infos = append(f.infos, info)
	}
	for _, peer := range adapter.Peers {
		infos := make([]*abi.TargetInfo, len(adapter.Targets))
		for _, target := range peer.Targets {
			i := slices.IndexFunc(adapter.Targets, func(own Target) bool { return own.Name == target.Name })
			if i < 0 {
				continue
			}
			info, err := f.hold(target, false)
			if err != nil {
				return nil, err
			}
			if info.In != f.infos[i].In || info.Out != f.infos[i].Out {
				return nil, fmt.Errorf("diagtest: %s has another shape in peer %s", target.Name, peer.Name)
			}
			infos[i] = &info
		}
		f.peers = append(f.peers, infos)
	}
	return f, nil
}

func (f *fake) hold(t Target, own bool) (abi.TargetInfo, error) {
	if t.A.Rows != t.B.Cols || t.A.Rows == 0 || t.Base.Values != nil && (t.Base.Rows != t.B.Rows || t.Base.Cols != t.A.Cols) {
		return abi.TargetInfo{}, fmt.Errorf("diagtest: %s: A is %d x %d, B is %d x %d, base is %d x %d: want r x in, out x r, out x in",
			t.Name, t.A.Rows, t.A.Cols, t.B.Rows, t.B.Cols, t.Base.Rows, t.Base.Cols)
	}
	info := abi.TargetInfo{
		Base: -1, Rank: int32(t.A.Rows), In: int64(t.A.Cols), Out: int64(t.B.Rows), Scale: t.Scale, Alpha: t.Alpha, FactorDType: t.FactorDType,
	}
	if info.FactorDType == 0 {
		info.FactorDType = abi.DTypeF32
	}
	info.A, info.B = f.add(t.A, info.FactorDType), f.add(t.B, info.FactorDType)
	if t.FanInFanOut {
		info.Flags |= abi.FlagFanInFanOut
	}
	if t.RsLoRA {
		info.Flags |= abi.FlagRsLoRA
	}
	if own && t.Base.Values != nil && f.granted(abi.CapBase) {
		if info.BaseDType = t.BaseDType; info.BaseDType == 0 {
			info.BaseDType = abi.DTypeF32
		}
		info.Base = f.add(t.Base, info.BaseDType)
		f.tensors[info.Base].base = true
	}
	return info, nil
}

func (f *fake) add(m Matrix, dtype abi.DType) int32 {
	f.tensors = append(f.tensors, held{matrix: m, dtype: dtype, live: true})
	return int32(len(f.tensors) - 1)
}

func (f *fake) granted(c abi.Capability) bool {
	return f.adapter.Grants == nil || slices.Contains(f.adapter.Grants, c)
}

// fail keeps the text for last_error.
func (f *fake) fail(status abi.Status, format string, args ...any) int32 {
	f.lastError = status.Error() + ": " + fmt.Sprintf(format, args...)
	return int32(status)
}

func (f *fake) denied(c abi.Capability) int32 {
	return f.fail(abi.Denied, "capability %s was not granted", c)
}

// tensor gives a live tensor, or else the status to return.
func (f *fake) tensor(handle int32) (held, int32) {
	if handle < 0 || int(handle) >= len(f.tensors) || !f.tensors[handle].live {
		return held{}, f.fail(abi.BadHandle, "handle %d is not a live tensor", handle)
	}
	return f.tensors[handle], 0
}

func (f *fake) copyText(dst []byte, text string) int32 {
	if len(text) <= len(dst) {
		copy(dst, text)
	}
	return int32(len(text))
}
