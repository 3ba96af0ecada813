package main

import (
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

func (a *lora) rank() int { return a.tensors[a.names(suffixA)[0]].rows }

// layers is one more than the number of the last adapted layer.
func (a *lora) layers() int {
	most := -1
	for _, name := range a.names(suffixB) {
		n, _ := layer(name)
		most = max(most, n)
	}
	return most + 1
}

// factors are the names of all factors.
func (a *lora) factors() []string { return slices.Concat(a.names(suffixA), a.names(suffixB)) }

func (a *lora) eachB(f func(*matrix)) bool {
	for _, name := range a.names(suffixB) {
		f(a.tensors[name])
	}
	return true
}

// nothing leaves the adapter as it is: the fault lies elsewhere.
func nothing(*lora, *rand.Rand) bool { return true }

func alpha(by float64) func(*lora, *rand.Rand) bool {
	return func(a *lora, _ *rand.Rand) bool {
		value, ok := a.config["lora_alpha"].(float64)
		a.config["lora_alpha"] = value * by
		return ok
	}
}

// rootRank makes the scale √r times too large.
func rootRank(a *lora, _ *rand.Rand) bool {
	if a.config["use_rslora"] == true || a.rank() < 4 {
		return false
	}
	a.config["use_rslora"] = true
	return true
}

func zero(suffix string) func(*lora, *rand.Rand) bool {
	return func(a *lora, _ *rand.Rand) bool {
		for _, name := range a.names(suffix) {
			clear(a.tensors[name].data)
		}
		return true
	}
}

func zeroEveryOther(a *lora, _ *rand.Rand) bool {
	for _, name := range a.names(suffixB) {
		if n, _ := layer(name); n%2 == 1 {
			clear(a.tensors[name].data)
		}
	}
	return a.layers() > 1
}

// one puts a value into the middle of one factor.
func one(value float64) func(*lora, *rand.Rand) bool {
	return func(a *lora, _ *rand.Rand) bool {
		names := a.names(suffixB)
		m := a.tensors[names[len(names)/2]]
		m.data[len(m.data)/2] = float32(value)
		return true
	}
}

// flipBits flips one of the 32 bits of one value of a thousand.
func flipBits(a *lora, random *rand.Rand) bool {
	for _, name := range a.factors() {
		m := a.tensors[name]
		for range max(1, len(m.data)/1000) {
			i := random.IntN(len(m.data))
			m.data[i] = math.Float32frombits(math.Float32bits(m.data[i]) ^ 1<<random.IntN(32))
		}
	}
	return true
}

// noise replaces every B by Gaussian noise of so many times its size.
func noise(times float64) func(*lora, *rand.Rand) bool {
	return func(a *lora, random *rand.Rand) bool {
		return a.eachB(func(m *matrix) {
			each := times * m.norm() / math.Sqrt(float64(len(m.data)))
			for i := range m.data {
				m.data[i] = float32(random.NormFloat64() * each)
			}
		})
	}
}

// inMiddle changes every B of the middle layer.
func inMiddle(change func(*matrix)) func(*lora, *rand.Rand) bool {
	return func(a *lora, _ *rand.Rand) bool {
		changed := false
		for _, name := range a.names(suffixB) {
			if n, _ := layer(name); n == a.layers()/2 {
				change(a.tensors[name])
				changed = true
			}
		}
		return changed
	}
}

// shiftLayers gives each layer what the next one of its kind had, and the last what the first had.
func shiftLayers(a *lora, _ *rand.Rand) bool {
	byKind := map[string]map[int]string{}
	for _, name := range a.factors() {
		if n, kind := layer(name); n >= 0 {
			if byKind[kind] == nil {
				byKind[kind] = map[int]string{}
			}
			byKind[kind][n] = name
		}
	}
	old := maps.Clone(a.tensors)
	for _, names := range byKind {
		order := slices.Sorted(maps.Keys(names))
		for i, n := range order {
			a.tensors[names[n]] = old[names[order[(i+1)%len(order)]]]
		}
	}
	return a.layers() > 1
}

func copyFirst(a *lora, _ *rand.Rand) bool {
	first := map[string]*matrix{}
	for _, name := range a.factors() {
		if n, kind := layer(name); n == 0 {
			first[kind] = a.tensors[name]
		}
	}
	for _, name := range a.factors() {
		if _, kind := layer(name); first[kind] != nil {
			a.tensors[name] = first[kind].clone()
		}
	}
	return len(first) > 0 && a.layers() > 1
}

func permuteRows(a *lora, random *rand.Rand) bool {
	return a.eachB(func(m *matrix) { reorderRows(m, random.Perm(m.rows)) })
}

func permuteColumns(a *lora, random *rand.Rand) bool {
	for _, name := range a.names(suffixA) {
		m := a.tensors[name]
		reorderColumns(m, random.Perm(m.cols))
	}
	return true
}

func permuteRanks(a *lora, random *rand.Rand) bool {
	if a.rank() < 4 {
		return false
	}
	return a.eachB(func(m *matrix) { reorderColumns(m, random.Perm(m.cols)) })
}

func reorderRows(m *matrix, order []int) {
	old := m.clone()
	for i, from := range order {
		copy(m.data[i*m.cols:(i+1)*m.cols], old.data[from*m.cols:(from+1)*m.cols])
	}
}

func reorderColumns(m *matrix, order []int) {
	old := m.clone()
	for i := range m.rows {
		for j, from := range order {
			m.data[i*m.cols+j] = old.data[i*m.cols+from]
		}
	}
}

// wrongOrder leaves the shape of every A and puts its values in the order of its columns.
func wrongOrder(a *lora, _ *rand.Rand) bool {
	for _, name := range a.names(suffixA) {
		m := a.tensors[name]
		old := m.clone()
		for i := range m.data {
			m.data[i] = old.data[i%m.rows*m.cols+i/m.rows]
		}
	}
	return a.rank() > 1
}

func swapGateUp(a *lora, _ *rand.Rand) bool {
	swapped := false
	for _, suffix := range []string{suffixA, suffixB} {
		gates, ups := a.names(".gate_proj"+suffix), a.names(".up_proj"+suffix)
		for i := range min(len(gates), len(ups)) {
			a.tensors[gates[i]], a.tensors[ups[i]] = a.tensors[ups[i]], a.tensors[gates[i]]
			swapped = true
		}
	}
	return swapped
}

// drop takes out the factors of layers, where some stay.
func drop(a *lora, which func(layer int) bool) bool {
	before := len(a.factors())
	for _, name := range a.factors() {
		if n, _ := layer(name); n >= 0 && which(n) {
			delete(a.tensors, name)
		}
	}
	after := len(a.factors())
	return after > 0 && after < before
}

func dropLastHalf(a *lora, _ *rand.Rand) bool {
	from := a.layers() / 2
	return drop(a, func(n int) bool { return n >= from })
}

func dropMiddle(a *lora, _ *rand.Rand) bool {
	middle := a.layers() / 2
	return drop(a, func(n int) bool { return n == middle })
}

func halfPair(a *lora, _ *rand.Rand) bool {
	delete(a.tensors, a.names(suffixB)[0])
	return true
}

func dropRow(a *lora, _ *rand.Rand) bool {
	m := a.tensors[a.names(suffixB)[0]]
	m.rows--
	m.data = m.data[:m.rows*m.cols]
	return m.rows > 0
}

func truncate(dir string) error {
	path := filepath.Join(dir, "adapter_model.safetensors")
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()*2/3)
}

// coarse rounds every factor to four values, at -1, -1/3, 1/3 and 1 times its largest.
func coarse(a *lora, _ *rand.Rand) bool {
	for _, name := range a.factors() {
		m := a.tensors[name]
		var most float64
		for _, v := range m.data {
			most = max(most, math.Abs(float64(v)))
		}
		if most == 0 {
			continue
		}
		for i, v := range m.data {
			step := math.Floor(float64(v)/most*1.5) + 0.5
			m.data[i] = float32(most / 1.5 * min(max(step, -1.5), 1.5))
		}
	}
	return true
}
