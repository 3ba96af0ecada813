package worker

import (
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// self is this binary, whatever happened to its path since it was started.
func self() (string, error) { return "/proc/self/exe", nil }

// attributes put the worker in a process group of its own and make the kernel kill it when this process ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit waits until the process is gone or patience is over, without reaping it: until it is reaped its id is its own and can be
// killed safely.
func awaitExit(pid int, patience time.Duration) {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if err != nil && err != unix.EINTR || info.Signo != 0 || time.Now().After(end) {
			return
		}
	}
}

// killGroup kills the worker's process group, which is not reaped yet.
func killGroup(cmd *exec.Cmd) {
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	_ = cmd.Process.Kill()
}
