package worker

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// self is this binary, whatever happened to its path since it was started.
func self() (string, error) { return "/proc/self/exe", nil }

// attributes put the worker in a process group of its own and make the kernel kill it when the thread that started it ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit waits until the process has ended, without reaping it.
func awaitExit(pid int) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			return
		}
	}
}

// killGroup kills the worker's process group, which is not reaped yet.
func killGroup(cmd *exec.Cmd) { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }

// residentPeak is the most bytes a living process had in memory at once; 0 where it has ended.
func residentPeak(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	line, _, _ := bytes.Cut(after, []byte(" kB\n"))
	kib, _ := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
	return kib << 10
}

// residentOf is the most bytes an ended process had in memory at once. The kernel counts what its parent had when it was started as well,
// so that nothing is known of a worker that stayed below this process.
func residentOf(state *os.ProcessState) int64 {
	var own unix.Rusage
	used, ok := state.SysUsage().(*syscall.Rusage)
	if !ok || unix.Getrusage(unix.RUSAGE_SELF, &own) != nil || used.Maxrss <= own.Maxrss {
		return 0
	}
	return used.Maxrss << 10
}

// processorTime is what a process that is not reaped has used, in nanoseconds, over all its threads; 0 where the kernel does not say.
func processorTime(pid int) int64 {
	var spent unix.Timespec
	const ofProcess = 2 // CPUCLOCK_SCHED of the whole process, by its id
	if err := unix.ClockGettime(int32(^pid<<3|ofProcess), &spent); err != nil {
		return 0
	}
	return spent.Nano()
}
