package kernel

// mergeStrip merges a strip of a stored weight: mergeKernels.rows rows by panels times mergeKernels.cols columns. a holds the rows' factors, k
// by rows, and b the columns', panel after panel, k by cols each. dst and src point at the strip's first entry and may be equal; stride is the
// bytes from one stored row to the next. It stops before a panel that would get an entry that is not finite, having written nothing of it: done
// counts the panels before, and changed their entries whose bits changed.
type mergeStrip func(k, panels int, a, b *float32, dst, src *byte, stride int) (done, changed int)

// mergeKernels are the inner loops of a merge, for one register tile. Where rows is 0 there are none, and portable code does it all.
type mergeKernels struct {
	rows, cols     int
	bf16, f16, f32 mergeStrip
}

var mergeGeneric = mergeKernels{}
