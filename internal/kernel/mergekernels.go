package kernel

// mergeStrip merges a strip of a stored weight: mergeKernels.rows rows by panels times mergeKernels.cols columns. a holds the rows' factors, k
// by rows, and b the columns', panel after panel, k by cols each. dst and src point at the strip's first entry and may be equal; stride is the
// bytes from one stored row to the next. It stops before a panel that would get an entry that is not finite, having written nothing of it: done
// counts the panels before, and changed their entries whose bits changed. There are at most maxPanels panels, and no NaN among the factors has a
// payload.
type mergeStrip func(k, panels int, a, b *float32, dst, src *byte, stride int) (done, changed int)

// maxPanels keeps counters of 16 bits from overflowing, one for each entry of a vector.
const maxPanels = 2048

// mergeKernels are the inner loops of a merge, for one register tile. Where rows is 0 there are none, and portable code does it all.
type mergeKernels struct {
	rows, cols     int
	evenOdd        bool // bf16 wants each step of a panel as the factors of its even columns, then those of its odd ones
	bf16, f16, f32 mergeStrip
	scale          scaleKernels
}

// scaleKernels are loops over the entries of a row, for DoRA. Each handles n/16*16 entries, and any may be nil.
type scaleKernels struct {
	bf16, f16, f32 scaleRow

	// squareLanes adds the squares of v to 16 sums, that of entry i to sum i mod 16. squareEach adds each to its own sum.
	squareLanes, squareEach func(n int, sums *float64, v *float32)
}

// scaleRow are the loops that know a dtype.
type scaleRow struct {
	widen func(n int, v *float32, src *byte) // v = f32(src) + v

	// scale stores round(gains · v) at dst, with gains step bytes on after every 16 entries; src is what was stored there before. It stops before 16
	// entries of which one would not be finite: done counts the entries before, and changed those whose bits changed. No NaN of v has a payload but
	// those that come from src.
	scale func(n int, dst, src *byte, v, gains *float32, step int) (done, changed int)
}

var mergeGeneric = mergeKernels{}
