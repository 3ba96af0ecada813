package backend

import "syscall"

// processAttributes put a backend in a process group of its own, so that it can be killed with its children and does not hear the terminal's Ctrl-C,
// and have the kernel kill it when the host dies, however the host dies.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
