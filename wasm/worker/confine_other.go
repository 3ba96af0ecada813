//go:build !linux

package worker

import "github.com/tenon-ml/tenon/sdk/abi"

// confineForWaiting has nothing to take outside Linux.
func confineForWaiting() []string { return []string{"privileges"} }

// confineForCompiling has nothing to take outside Linux; the parent reports Partial.
func confineForCompiling(abi.Limits, int, string, bool) []string { return []string{"limits", "files"} }

// confineForRunning has nothing to take outside Linux.
func confineForRunning() []string { return []string{"files", "system calls"} }
