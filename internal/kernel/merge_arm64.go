package kernel

// The strips of merging 6 rows at a time, in panels of 16 columns. A panel's 96 entries fill 24 of the 32 vector registers.

//go:noescape
func mergeBF16NEON(k, panels int, a, b *float32, dst, src *byte, stride int) (done, changed int)

//go:noescape
func mergeF16NEON(k, panels int, a, b *float32, dst, src *byte, stride int) (done, changed int)

//go:noescape
func mergeF32NEON(k, panels int, a, b *float32, dst, src *byte, stride int) (done, changed int)
