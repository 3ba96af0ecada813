package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// maxInstructions and maxChoices bound a compiled pattern, and with it the time and the memory per byte of text. The longest in use have
// half as many.
const (
	maxInstructions = 256
	maxChoices      = 64 // one bit of a word each
)

// program is a compiled expression. It matches as a backtracking engine does: the first alternative wins, repetitions take as much as they
// can. Unlike one it takes time linear in the text: a choice that failed at a place is not tried there again (see search), and neither is a
// span in a run of code points from which it failed.
type program struct {
	code  []instruction
	start int32
}

type opcode uint8

const (
	opMatch  opcode = iota
	opOne           // one code point of set
	opSpan          // from min to max code points of set, as many as there are, for good
	opLook          // the next code point is in set
	opLookNo        // it is not, or there is none
	opChoice        // next, and other if that fails
)

type instruction struct {
	op          opcode
	set         *runeSet
	min, max    int // opSpan; max -1: no end
	next, other int32
	bit         uint64 // opChoice, and opSpan of any length that something may fail behind: which of the program's choices
}

// compile turns an expression into a program. It builds from the end: each part knows what follows it.
func compile(e expression) (*program, error) {
	c := &compiler{p: &program{}}
	end := c.emit(instruction{op: opMatch})
	c.p.start = c.expression(e, end, true)
	if c.full {
		return nil, fmt.Errorf("it compiles to more than %d instructions, or %d choices", maxInstructions, maxChoices)
	}
	return c.p, nil
}

type compiler struct {
	p       *program
	choices int
	full    bool
}

func (c *compiler) emit(i instruction) int32 {
	if i.op == opChoice || i.op == opSpan && i.bit != 0 {
		i.bit = 1 << c.choices
		c.choices++
	}
	if len(c.p.code) >= maxInstructions || c.choices > maxChoices {
		c.full = true
		return 0
	}
	c.p.code = append(c.p.code, i)
	return int32(len(c.p.code) - 1)
}

// expression compiles alternatives in front of next. sure says that what follows always matches, so that a repetition before it need not
// give back.
func (c *compiler) expression(e expression, next int32, sure bool) int32 {
	entry := c.terms(e[len(e)-1], next, sure)
	for i := len(e) - 2; i >= 0 && !c.full; i-- {
		entry = c.emit(instruction{op: opChoice, next: c.terms(e[i], next, sure), other: entry})
	}
	return entry
}

func (c *compiler) terms(terms []term, next int32, sure bool) int32 {
	for i := len(terms) - 1; i >= 0 && !c.full; i-- {
		t := terms[i]
		switch {
		case t.look:
			op := opLook
			if t.not {
				op = opLookNo
			}
			next = c.emit(instruction{op: op, set: t.set, next: next})
			sure = false
		case t.set != nil && t.min == 1 && t.max == 1:
			next = c.emit(instruction{op: opOne, set: t.set, next: next})
			sure = false
		case t.set != nil && (sure || t.possessive):
			span := instruction{op: opSpan, set: t.set, min: t.min, max: t.max, next: next}
			if !sure && t.max < 0 {
				span.bit = 1 // emit gives it its own
			}
			next = c.emit(span)
			sure = sure && t.min == 0
		default:
			next = c.repeated(t, next)
			sure = false
		}
	}
	return next
}

// repeated compiles a repetition that may give back.
func (c *compiler) repeated(t term, next int32) int32 {
	body := func(next int32) int32 {
		if t.set != nil {
			return c.emit(instruction{op: opOne, set: t.set, next: next})
		}
		return c.expression(t.group, next, false)
	}
	if t.max < 0 {
		loop := c.emit(instruction{op: opChoice, other: next})
		entry := body(loop)
		c.p.code[loop].next = entry
		next = loop
	}
	for n := t.max; n > t.min && !c.full; n-- {
		next = c.emit(instruction{op: opChoice, next: body(next), other: next})
	}
	for n := 0; n < t.min && !c.full; n++ {
		next = body(next)
	}
	return next
}

// search finds the matches of one program in one text, from left to right.
type search struct {
	*program
	text string
	// failed has a word for each byte of text from base on. A set bit is a choice that was tried at that place and matched nothing, which
	// does not depend on where the match began; or a span that took that place, and behind whose end nothing matched. Whoever comes by such
	// a place with the same span would get to the same end.
	failed []uint64
	base   int
	stack  []frame
}

// frame is a place to go back to.
type frame struct {
	pc, pos int32
}

// begin starts on a text. It keeps the memory of the text before.
func (s *search) begin(p *program, text string) {
	s.program, s.text, s.failed, s.base = p, text, s.failed[:0], 0
}

// next returns the leftmost match that begins at from or later, and false when there is none. from must not become less from call to call.
func (s *search) next(from int) (start, end int, ok bool) {
	for start = from; start < len(s.text); {
		if end = s.match(start); end >= 0 {
			return start, end, true
		}
		_, size := utf8.DecodeRuneInString(s.text[start:])
		start += size
	}
	return 0, 0, false
}

// match returns the end of the match that begins at start, or -1.
func (s *search) match(start int) int {
	if start >= s.base+len(s.failed) {
		s.failed, s.base = s.failed[:0], start
	}
	s.stack = s.stack[:0]
	pc, pos := s.start, start
	for {
		i := &s.code[pc]
		ok := true
		switch i.op {
		case opMatch:
			s.forget(pos)
			return pos
		case opOne:
			var size int
			size, ok = s.one(i.set, pos)
			pos += size
		case opSpan:
			pos, ok = s.span(i, pos)
		case opLook:
			_, ok = s.one(i.set, pos)
		case opLookNo:
			_, found := s.one(i.set, pos)
			ok = !found
		case opChoice:
			if ok = s.tryOnce(i.bit, pos); ok {
				s.stack = append(s.stack, frame{i.other, int32(pos)})
			}
		}
		if ok {
			pc = i.next
			continue
		}
		if len(s.stack) == 0 {
			return -1
		}
		top := s.stack[len(s.stack)-1]
		s.stack = s.stack[:len(s.stack)-1]
		pc, pos = top.pc, int(top.pos)
	}
}

// span takes the code points of an opSpan from a place on, and returns where they end. Those of a span with a bit are marked.
func (s *search) span(i *instruction, from int) (end int, ok bool) {
	end = from
	count := 0
	for ; count != i.max; count++ {
		size, more := s.one(i.set, end)
		if !more {
			break
		}
		if at := end - s.base; i.bit != 0 && at < len(s.failed) && s.failed[at]&i.bit != 0 {
			return end, false
		}
		end += size
	}
	if count < i.min {
		return end, false // without marks: from further in front there may be enough
	}
	if i.bit != 0 {
		for at := from; at < end; at++ {
			s.tryOnce(i.bit, at)
		}
	}
	return end, true
}

// one returns the size of the code point at pos if it is in the set.
func (s *search) one(set *runeSet, pos int) (size int, ok bool) {
	if pos >= len(s.text) {
		return 0, false
	}
	if c := s.text[pos]; c < utf8.RuneSelf {
		return 1, set.ascii[c/64]>>(c%64)&1 != 0
	}
	r, size := utf8.DecodeRuneInString(s.text[pos:])
	return size, set.search(r)
}

// tryOnce marks a choice at pos, and reports false when it was marked before.
func (s *search) tryOnce(bit uint64, pos int) bool {
	at := pos - s.base
	for len(s.failed) <= at {
		s.failed = append(s.failed, 0)
	}
	if s.failed[at]&bit != 0 {
		return false
	}
	s.failed[at] |= bit
	return true
}

// forget clears the marks at the end of a match. Those of the choices that led to it are not failures, and the next match begins there; the
// marks before it are never looked at again, those after it were left by failures only.
func (s *search) forget(end int) {
	if at := end - s.base; at < len(s.failed) {
		s.failed[at] = 0
	}
}
