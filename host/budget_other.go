//go:build !linux

package host

// availableMemory is not known here: there is no limit but what the operator gives.
func availableMemory() (int64, bool) { return 0, false }
