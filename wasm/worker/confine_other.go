//go:build !linux

package worker

// confineForCompiling has nothing to take outside Linux; the parent reports Partial.
func confineForCompiling(request) []string { return []string{"limits", "files"} }

// confineForRunning has nothing to take outside Linux.
func confineForRunning() []string { return []string{"files", "system calls"} }
