package cpu

import (
	"context"
	"crypto/sha256"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// kept is one patch of a generation that is not merged: its factors, as they are stored.
type kept struct {
	*patch
	sum [sha256.Size]byte // of A's bytes, and then B's
}

// keepFactors makes a generation of the factors themselves, and lets the base's matrices be.
func (b *Backend) keepFactors(ctx context.Context, g *generation, loaded *base, patches []*patch, open *files) error {
	m := loaded.pristine.model
	if m == nil {
		return notNow("base %x came without a model configuration: it can be merged, and a generation that is not merged is for generating", loaded.digest)
	}
	if err := m.checkBeside(patches); err != nil {
		return err
	}
	memory, parts, err := b.heldParts(patches)
	if err != nil {
		return err
	}
	g.unmerged, g.memory = true, memory // which ends with the generation
	if err := open.read(ctx, parts, b.options.Workers); err != nil {
		return err
	}
	beside := make(map[string]*factors, len(patches))
	for _, p := range patches {
		k := &kept{patch: p}
		k.sum = k.digest()
		g.kept = append(g.kept, k)
		beside[p.name] = &factors{
			a:     matrix{stored: p.a, rows: p.rank, cols: p.in},
			b:     matrix{stored: p.b, rows: p.out, cols: p.rank},
			scale: float32(p.scale),
		}
	}
	g.model = m.beside(beside)
	return nil
}

// checkBeside refuses patches of what is not multiplied with.
func (m *model) checkBeside(patches []*patch) error {
	linears := map[string]linear{}
	m.eachLinear(func(l *linear) { linears[l.name] = *l })
	for _, p := range patches {
		l, ok := linears[p.name]
		switch {
		case !p.plain:
			return invalid("tensor %q: its patch is not two factors of one matrix and nothing else: such a patch can only be merged", p.name)
		case p.name == m.embed.name || p.name == m.places.name:
			return invalid("tensor %q is looked up, not multiplied with: a patch of it can only be merged", p.name)
		case !ok:
			return invalid("tensor %q is not multiplied with: a patch of it can only be merged", p.name)
		case p.fanInFanOut != l.transposed:
			return invalid("tensor %q: fan_in_fan_out is %v, and the model multiplies with it as %d x %d, stored as %v: such a patch can only be merged",
				p.name, p.fanInFanOut, l.rows, l.cols, l.shape)
		}
	}
	return nil
}

func (k *kept) digest() (sum [sha256.Size]byte) {
	hash := sha256.New()
	hash.Write(k.a.bytes)
	hash.Write(k.b.bytes)
	hash.Sum(sum[:0])
	return sum
}

// probe looks at the resident factors again.
func (k *kept) probe() *backendpb.Probe {
	sum := k.digest()
	return &backendpb.Probe{Tensor: k.name, Sha256: sum[:]}
}
