//go:build !linux

package worker

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

// self is this binary.
func self() (string, error) { return os.Executable() }

// attributes are the system's own.
func attributes() *syscall.SysProcAttr { return nil }

// awaitExit gives a process time to end.
func awaitExit(_ int, patience time.Duration) { time.Sleep(min(patience, 50*time.Millisecond)) }

// killGroup kills the worker.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
