package sandbox

import (
	"encoding/binary"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// targetHandles are the handles of one target; Base is -1 where there is none.
type targetHandles struct {
	a, b, base int32
}

func targetCount(c *call) (int32, error) { return int32(len(c.input.Targets)), nil }

// target returns the index in argument i.
func (c *call) target(i int) (int, error) {
	index := c.i32(i)
	if index < 0 || int(index) >= len(c.input.Targets) {
		return 0, fail(abi.NotFound, "target %d of %d", index, len(c.input.Targets))
	}
	return int(index), nil
}

// peer returns the index in argument i.
func (c *call) peer(i int) (int, error) {
	index := c.i32(i)
	if index < 0 || int(index) >= len(c.input.Peers) {
		return 0, fail(abi.NotFound, "peer %d of %d", index, len(c.input.Peers))
	}
	return int(index), nil
}

func targetInfo(c *call) (int32, error) {
	index, err := c.target(0)
	if err != nil {
		return 0, err
	}
	return c.giveTarget(1, &c.input.Targets[index], &c.targets[index], c.granted(abi.CapBase))
}

// giveTarget writes a TargetInfo to the pointer in argument i, and makes its handles the first time.
func (c *call) giveTarget(i int, t *Target, known **targetHandles, base bool) (int32, error) {
	view := c.view(i, abi.TargetInfoSize)
	base = base && t.Base.Present()
	if *known == nil {
		objects := []object{
			&stored{Source: t.A, rows: t.Rank, cols: t.In},
			&stored{Source: t.B, rows: t.Out, cols: t.Rank},
		}
		if base {
			objects = append(objects, &stored{Source: t.Base, rows: t.Out, cols: t.In, transposed: t.FanInFanOut, base: true})
		}
		ids, err := c.addAll(objects...)
		if err != nil {
			return 0, err
		}
		ids = append(ids, -1)
		*known = &targetHandles{ids[0], ids[1], ids[2]}
	}
	flags, baseDType := int32(0), abi.DType(0)
	if t.FanInFanOut {
		flags |= abi.FlagFanInFanOut
	}
	if t.RsLoRA {
		flags |= abi.FlagRsLoRA
	}
	if base {
		baseDType = abiDType(t.Base.DType)
	}
	info := abi.TargetInfo{
		A: (*known).a, B: (*known).b, Base: (*known).base, Rank: int32(t.Rank), In: int64(t.In), Out: int64(t.Out),
		Scale: t.Scale, Alpha: t.Alpha, Flags: flags, BaseDType: baseDType, FactorDType: abiDType(t.A.DType),
	}
	info.Append(view[:0])
	return 0, nil
}

func targetName(c *call) (int32, error) {
	index, err := c.target(0)
	if err != nil {
		return 0, err
	}
	return c.give(1, c.input.Targets[index].Name)
}

func peerCount(c *call) (int32, error) { return int32(len(c.input.Peers)), nil }

func peerName(c *call) (int32, error) {
	index, err := c.peer(0)
	if err != nil {
		return 0, err
	}
	return c.give(1, c.input.Peers[index].Name)
}

func peerTarget(c *call) (int32, error) {
	peer, err := c.peer(0)
	if err != nil {
		return 0, err
	}
	index, err := c.target(1)
	if err != nil {
		return 0, err
	}
	t := c.input.Peers[peer].Targets[index]
	if t == nil {
		return 0, fail(abi.NotFound, "peer %d does not adapt target %d", peer, index)
	}
	return c.giveTarget(2, t, &c.peers[peer][index], false)
}

func attribute(c *call) (int32, error) {
	key := c.text(0)
	value, ok := c.input.Attrs[key]
	if key == "module.id" { // never the host's to say: a guest of several modules goes by it
		value, ok = c.manifest.ID, c.manifest.ID != ""
	}
	if !ok {
		return 0, fail(abi.NotFound, "attribute %q", cut(key, 100))
	}
	return c.give(2, value)
}

func parameter(c *call) (int32, error) {
	name := c.text(0)
	view := c.view(2, 8)
	value, ok := c.input.Params[name]
	if !ok {
		declared, there := c.manifest.Params[name]
		if !there {
			return 0, fail(abi.NotFound, "parameter %q", cut(name, 100))
		}
		value = declared.Default
	}
	binary.LittleEndian.PutUint64(view, math.Float64bits(value))
	return 0, nil
}

func lastError(c *call) (int32, error) { return c.give(0, c.lastError) }
