package worker

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// addressSpace is RLIMIT_AS with the default limits: a Go guest compiles in 2,000,000 KiB of address space and not in 1,500,000.
const addressSpace = 3 << 30

// confineForCompiling is taken before the module is read: bounded memory, no new privileges, and of all files only the module's own cache
// directory. It returns what the kernel or this build does not offer.
func confineForCompiling(req request) (missing []string) {
	note := func(layer string, err error) {
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", layer, err))
		}
	}
	// Workers may use several times the memory that a machine has left. The kernel then ends the worker, not the parent that it read the
	// weights for. Where that cannot be asked for, the worker is as confined as ever.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	limits := req.Limits.WithDefaults()
	space := uint64(addressSpace) + uint64(max(0, limits.GuestMemory-abi.DefaultLimits.GuestMemory)) +
		2*uint64(max(0, limits.HostTensors-abi.DefaultLimits.HostTensors))
	if raceDetector {
		note("address space", fmt.Errorf("the race detector maps terabytes"))
	} else {
		note("address space", limit(unix.RLIMIT_AS, space))
	}
	note("descriptors", limit(unix.RLIMIT_NOFILE, uint64(firstFile+req.Files+16)))
	note("core dumps", limit(unix.RLIMIT_CORE, 0))
	note("file size", limit(unix.RLIMIT_FSIZE, maxCacheFile))
	note("privileges", noNewPrivileges())
	rights := uint64(readFiles)
	if req.Cold {
		rights = writeFiles
	}
	note("files", restrictFiles(req.CacheDir, rights))
	return missing
}

// confineForRunning is taken when the module is compiled and before any of it runs: no file can be opened or written, no descriptor made,
// and no system call issued but those that the Go runtime computes with.
func confineForRunning() (missing []string) {
	note := func(layer string, err error) {
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", layer, err))
		}
	}
	note("file size", limit(unix.RLIMIT_FSIZE, 0))
	note("files", restrictFiles("", 0))
	note("descriptors", limit(unix.RLIMIT_NOFILE, 0))
	note("system calls", restrictSystemCalls())
	return missing
}

// limit lowers a resource limit for good. One that is lower already stays: it may not be raised, and confines as well.
func limit(resource int, value uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	value = min(value, now.Max)
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: value, Max: value})
}

// noNewPrivileges makes set-user-id programs harmless. Without it an ordinary user may not restrict itself further.
func noNewPrivileges() error {
	return onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
}

// onAllThreads makes a system call with two arguments on every thread of the process. The Go runtime cannot do that in a build with cgo.
func onAllThreads(call, a, b uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall(call, a, b, 0); errno != 0 {
		return errno
	}
	return nil
}
