package diagtest

import "github.com/tenon-ml/tenon/sdk/abi"

func (f *fake) TargetCount() int32 { return int32(len(f.infos)) }

func (f *fake) target(i int32) int32 {
	if i < 0 || int(i) >= len(f.infos) {
		return f.fail(abi.NotFound, "there is no target %d", i)
	}
	return 0
}

func (f *fake) TargetInfo(target int32, out *[abi.TargetInfoSize]byte) int32 {
	if status := f.target(target); status < 0 {
		return status
	}
	copy(out[:], f.infos[target].Append(nil))
	return 0
}

func (f *fake) TargetName(target int32, dst []byte) int32 {
	if status := f.target(target); status < 0 {
		return status
	}
	return f.copyText(dst, f.adapter.Targets[target].Name)
}

func (f *fake) PeerCount() int32 {
	if !f.granted(abi.CapPeers) {
		return f.denied(abi.CapPeers)
	}
	return int32(len(f.peers))
}

func (f *fake) peer(i int32) int32 {
	if n := f.PeerCount(); n < 0 {
		return n
	} else if i < 0 || i >= n {
		return f.fail(abi.NotFound, "there is no peer %d", i)
	}
	return 0
}

func (f *fake) PeerName(peer int32, dst []byte) int32 {
	if status := f.peer(peer); status < 0 {
		return status
	}
	return f.copyText(dst, f.adapter.Peers[peer].Name)
}

func (f *fake) PeerTarget(peer, target int32, out *[abi.TargetInfoSize]byte) int32 {
	if status := f.peer(peer); status < 0 {
		return status
	}
	if status := f.target(target); status < 0 {
		return status
	}
	info := f.peers[peer][target]
	if info == nil {
		return f.fail(abi.NotFound, "peer %d does not adapt target %d", peer, target)
	}
	copy(out[:], info.Append(nil))
	return 0
}

func (f *fake) Attr(key string, dst []byte) int32 {
	value, ok := f.adapter.Attrs[key]
	if !ok {
		return f.fail(abi.NotFound, "there is no attribute %s", key)
	}
	return f.copyText(dst, value)
}

func (f *fake) Param(name string, out *float64) int32 {
	value, ok := f.adapter.Params[name]
	if !ok {
		return f.fail(abi.NotFound, "there is no parameter %s", name)
	}
	*out = value
	return 0
}

func (f *fake) TensorShape(handle int32, out *[2]int64) int32 {
	t, status := f.tensor(handle)
	if status == 0 {
		*out = [2]int64{int64(t.matrix.Rows), int64(t.matrix.Cols)}
	}
	return status
}

func (f *fake) slice(handle int32, first int64, n int) ([]float64, int32) {
	t, status := f.tensor(handle)
	if status < 0 {
		return nil, status
	}
	if size := int64(len(t.matrix.Values)); first < 0 || first > size || int64(n) > size-first {
		return nil, f.fail(abi.Range, "%d elements from %d on, the tensor has %d", n, first, size)
	}
	return t.matrix.Values[first : first+int64(n)], 0
}

func (f *fake) TensorReadF32(handle int32, first int64, dst []float32) int32 {
	values, status := f.slice(handle, first, len(dst))
	if status < 0 {
		return status
	}
	for i, v := range values {
		dst[i] = float32(v)
	}
	return int32(len(dst))
}

func (f *fake) TensorReadF64(handle int32, first int64, dst []float64) int32 {
	values, status := f.slice(handle, first, len(dst))
	if status < 0 {
		return status
	}
	return int32(copy(dst, values))
}

func (f *fake) TensorPutF64(src []float64, rows, cols int32) int32 {
	if rows < 1 || cols < 1 {
		return f.fail(abi.Shape, "a matrix of %d x %d", rows, cols)
	}
	m := Zeros(int(rows), int(cols))
	copy(m.Values, src)
	return f.add(m, abi.DTypeF64)
}

func (f *fake) TensorDrop(handle int32) int32 {
	_, status := f.tensor(handle)
	if status == 0 {
		f.tensors[handle] = held{}
	}
	return status
}

func (f *fake) LastError(dst []byte) int32 { return f.copyText(dst, f.lastError) }
