//go:build !linux

package worker

import (
	"os"
	"os/exec"
	"syscall"
)

// self is this binary.
func self() (string, error) { return os.Executable() }

// attributes are the system's own.
func attributes() *syscall.SysProcAttr { return nil }

// awaitExit leaves the waiting to whoever reaps.
func awaitExit(int) {}

// killGroup kills the worker.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

// residentPeak is not known here.
func residentPeak(int) int64 { return 0 }

// residentOf is not known here.
func residentOf(*os.ProcessState) int64 { return 0 }

// processorTime is known when the process is reaped.
func processorTime(int) int64 { return 0 }
