package cpu

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// passRows is how many rows one pass takes at most, which bounds its scratch memory and how long a text waits for the one before.
const passRows = 96

// row is one token at its place in a text. A pass evaluates rows of several texts; those of one text follow each other, with rising positions,
// and the first of them follows what the text's cache has. The cache has room for them.
type row struct {
	text     *cache
	position int
	token    int32
}

// pass evaluates rows with one model, in f32. It is scratch memory that is used again and again, by one computation at a time.
//
// Every reduction has a fixed order, and explicit conversions keep the compiler from fusing multiplications with additions, so that the numbers of
// a row depend neither on the rows beside it, nor on the number of workers, nor on the instruction set.
type pass struct {
	crew  *crew
	model *model
	rows  []row

	stream, normed, projected []float32 // rows x hidden
	query, attended           []float32 // rows x heads x headDim
	key, value                []float32 // rows x kvHeads x headDim
	joined                    []float32 // rows x (heads + 2 kvHeads) x headDim, where query, key and value are one matrix
	gate, up                  []float32 // rows x intermediate
	cos, sin                  []float32 // rows x headDim/2
	low, lifted               []float32 // rows x rank, rows x what a matrix gives
	logits                    []float32 // predicted rows x vocab
	scratch                   [][]float32
	parts                     []matrixPart
	vector                    []float32 // that the parts are multiplied with
	columns                   columns
	picked                    []int // rows that are predicted

	span  int    // heads that are attended with at once
	index int    // of the layer under way
	layer *layer // the layer under way
	steps steps
}

// steps are what a layer does between its matrices, each for one row, but attend: for some heads of one row. They are bound once, so that a step
// allocates nothing.
type steps struct {
	begin, place, attend, join, activate, embed, finish, multiply func(i, worker int)
}

func newPass(crew *crew) *pass {
	p := &pass{crew: crew, scratch: make([][]float32, crew.size())}
	p.steps = steps{
		begin: p.begin, place: p.place, attend: p.attend, join: p.join, activate: p.activate, embed: p.embed, finish: p.finish, multiply: p.multiply,
	}
	return p
}

// errStopped is what a pass ends with when nobody wants its rows any more.
var errStopped = errors.New("stopped")

// run evaluates at most passRows rows. Their keys and values are in their caches afterwards, and p.stream has what their predictions are made of.
// It ends between layers when stop says so; the caches' texts are of no use then.
func (p *pass) run(m *model, rows []row, stop func() bool) error {
	n := len(rows)
	p.model, p.rows = m, rows
	p.resize(n)
	p.setSpan()
	p.crew.each(n, m.hidden, p.steps.embed)
	for i := range m.layers {
		if stop() {
			return errStopped
		}
		l := &m.layers[i]
		p.index, p.layer = i, l
		p.crew.each(n, 4*m.hidden, p.steps.begin)
		if l.joined.rows > 0 {
			p.times(p.normed, n, product{&l.joined, p.joined})
		} else {
			p.times(p.normed, n, product{&l.query, p.query}, product{&l.key, p.key}, product{&l.value, p.value})
		}
		p.crew.each(n, 4*m.heads*m.headDim, p.steps.place)
		// One group of heads after the other: the rows of a text read the same keys.
		p.crew.each(n*m.heads/p.span, 2*m.headDim*p.span*p.meanLength(), p.steps.attend)
		p.times(p.attended, n, product{&l.output, p.projected})
		p.crew.each(n, 4*m.hidden, p.steps.join)
		if l.gate.rows > 0 {
			p.times(p.normed, n, product{&l.gate, p.gate}, product{&l.up, p.up})
		} else {
			p.times(p.normed, n, product{&l.up, p.up})
		}
		p.crew.each(n, 8*m.intermediate, p.steps.activate)
		p.times(p.up, n, product{&l.down, p.projected})
		add(p.stream, p.projected)
	}
	return nil
}

// resize makes room for n rows.
func (p *pass) resize(n int) {
	m := p.model
	for _, b := range []struct {
		floats *[]float32
		each   int
	}{
		{&p.stream, m.hidden}, {&p.normed, m.hidden}, {&p.projected, m.hidden},
		{&p.query, m.heads * m.headDim}, {&p.attended, m.heads * m.headDim}, {&p.key, m.kvDim()}, {&p.value, m.kvDim()},
		{&p.gate, m.intermediate}, {&p.up, m.intermediate}, {&p.cos, len(m.rotary)}, {&p.sin, len(m.rotary)},
	} {
		*b.floats = grown(*b.floats, n*b.each)
	}
	if m.layers[0].joined.rows > 0 {
		p.joined = grown(p.joined, n*m.layers[0].joined.rows)
	}
}

// grown returns x with n numbers, of any value.
func grown(x []float32, n int) []float32 {
	if cap(x) < n {
		return make([]float32, n)
	}
	return x[:n]
}

// spare returns n numbers of scratch memory of one worker.
func (p *pass) spare(worker, n int) []float32 {
	if len(p.scratch[worker]) < n {
		p.scratch[worker] = make([]float32, max(n, 2*len(p.scratch[worker])))
	}
	return p.scratch[worker][:n]
}

// of returns what belongs to one row.
func (p *pass) of(x []float32, row int) []float32 {
	n := len(x) / len(p.rows)
	return x[row*n : (row+1)*n]
}

// meanLength is about how many positions a row attends to.
func (p *pass) meanLength() int {
	sum := 0
	for _, r := range p.rows {
		sum += r.position + 1
	}
	return sum / len(p.rows)
}

// embed widens a token's row of the embedding, adds its position's where positions are learned, and computes its angles where they are turned.
func (p *pass) embed(i, worker int) {
	m, r := p.model, p.rows[i]
	m.embed.widen(p.of(p.stream, i), int(r.token))
	if m.places.rows > 0 {
		place := p.spare(worker, m.hidden)
		m.places.widen(place, r.position)
		add(p.of(p.stream, i), place)
	}
	if m.rotary != nil {
		turn(p.of(p.cos, i), p.of(p.sin, i), m.rotary, r.position)
	}
}

// widen writes one row of the matrix to dst.
func (m *matrix) widen(dst []float32, row int) {
	stride := m.cols * m.dtype.Size()
	if err := tensor.ToF32(dst, m.bytes[row*stride:][:stride], m.dtype); err != nil {
		panic(err) // newModel lets no dtype pass that has no f32
	}
}

// begin is a row's norm before attention.
func (p *pass) begin(i, _ int) { p.layer.attentionNorm(p.of(p.normed, i), p.of(p.stream, i)) }

// place brings a row's query and key to its position and stores its key and value.
func (p *pass) place(i, _ int) {
	m, l := p.model, p.layer
	query, key, value := p.of(p.query, i), p.of(p.key, i), p.of(p.value, i)
	if l.joined.rows > 0 {
		joined := p.of(p.joined, i)
		n := copy(query, joined)
		n += copy(key, joined[n:])
		copy(value, joined[n:])
	}
	if l.queryNorm != nil {
		eachHead(query, m.headDim, l.queryNorm)
		eachHead(key, m.headDim, l.keyNorm)
	}
	if m.rotary != nil {
		cos, sin := p.of(p.cos, i), p.of(p.sin, i)
		rotate(query, m.headDim, cos, sin)
		rotate(key, m.headDim, cos, sin)
	}
	p.rows[i].text.put(p.index, p.rows[i].position, key, value)
}

// eachHead applies a norm to each head in place.
func eachHead(x []float32, headDim int, apply norm) {
	for ; len(x) >= headDim; x = x[headDim:] {
		apply(x[:headDim], x[:headDim])
	}
}

// join adds what attention gave to the stream and applies the norm before the MLP.
func (p *pass) join(i, _ int) {
	stream := p.of(p.stream, i)
	add(stream, p.of(p.projected, i))
	p.layer.mlpNorm(p.of(p.normed, i), stream)
}

// activate leaves in p.up what the MLP's last matrix reads.
func (p *pass) activate(i, worker int) {
	m := p.model
	var gate []float32
	if p.layer.gate.rows > 0 {
		gate = p.of(p.gate, i)
	}
	m.activate(p.of(p.up, i), gate, p.spare(worker, m.intermediate))
}

// predictable is how many predictions are made at once: vocabularies are large.
func (m *model) predictable() int { return min(passRows, max(8, (32<<20)/(4*m.vocab))) }

// predict leaves in p.logits what follows the given rows of the last run, at most predictable.
func (p *pass) predict(rows []int) {
	m := p.model
	p.picked = rows
	p.crew.each(len(rows), 4*m.hidden, p.steps.finish)
	p.logits = grown(p.logits, len(rows)*m.vocab)
	p.times(p.normed[:len(rows)*m.hidden], len(rows), product{&m.head, p.logits})
}

// finish is the last norm of a row that is predicted.
func (p *pass) finish(i, _ int) { p.model.norm(p.of(p.normed, i), p.of(p.stream, p.picked[i])) }

// prediction returns the logits of one row that predict was asked for.
func (p *pass) prediction(i int) []float32 { return p.logits[i*p.model.vocab : (i+1)*p.model.vocab] }

// forget lets the generation's memory end.
func (p *pass) forget() {
	clear(p.rows)
	clear(p.parts)
	p.model, p.layer, p.rows, p.picked = nil, nil, nil, nil
}

// norm writes the normalized x to dst, which may be x.
type norm func(dst, x []float32)

// activation replaces x by activation(gate)·x, or by activation(x) where there is no gate. scratch is as long as x.
type activation func(x, gate, scratch []float32)

// rmsNorm computes weight · x / sqrt(mean(x²) + eps), the mean in f64.
func rmsNorm(weight []float32, eps float64) norm {
	return func(dst, x []float32) {
		sum := 0.0
		for _, v := range x {
			sum += float64(v) * float64(v) // exact product
		}
		inverse := float32(1 / math.Sqrt(sum/float64(len(x))+eps))
		for i, v := range x {
			dst[i] = weight[i] * float32(v*inverse)
		}
	}
}
