//go:build !linux

package backend

import "syscall"

// processAttributes put a backend in a process group of its own. Where the kernel cannot kill it with the host, it watches its parent itself.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
