//go:build !unix

package sandbox

import "context"

// withAllocator leaves linear memory to the engine where there is no mmap.
func withAllocator(ctx context.Context) context.Context { return ctx }
