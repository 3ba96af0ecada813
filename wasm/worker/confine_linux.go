package worker

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// spareDescriptors are those a worker has beside the files of its job: the pipes, the runtime's own, the cache.
const spareDescriptors = 19

// addressSpace is RLIMIT_AS with the default limits: a Go guest compiles in 2,000,000 KiB of address space and not in 1,500,000.
const addressSpace = 3 << 30

// layers that could not be taken, and why.
type missing []string

func (m *missing) note(layer string, err error) {
	if err != nil {
		*m = append(*m, fmt.Sprintf("%s: %v", layer, err))
	}
}

// confineForWaiting is taken before there is a job, as far as a worker can be confined by then: no privileges, no core dumps, nobody but
// the kernel who looks into it, and no system calls but those that reading a request, compiling and confining itself further take: no
// sockets, processes, signals to others, no looks into them. It returns what the kernel or this build does not offer.
func confineForWaiting() []string {
	var m missing
	// Workers may use several times the memory that a machine has left. The kernel then ends the worker, not the parent that it read the
	// weights for. Where that cannot be asked for, the worker is as confined as ever.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	m.note("core dumps", limit(unix.RLIMIT_CORE, 0))
	m.note("privileges", dropCapabilities())
	m.note("privileges", noNewPrivileges())
	// Another worker, of the same user, could otherwise attach to this one or open its descriptors beneath /proc.
	m.note("privacy", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	m.note("system calls", restrictSystemCalls(preparing))
	return m
}

// confineForCompiling is taken before the module is read: bounded memory, and of all files only the module's own cache directory, to be
// written to if it is cold.
func confineForCompiling(limits abi.Limits, files int, cache string, cold bool) []string {
	var m missing
	limits = limits.WithDefaults()
	space := uint64(addressSpace) + uint64(max(0, limits.GuestMemory-abi.DefaultLimits.GuestMemory)) +
		2*uint64(max(0, limits.HostTensors-abi.DefaultLimits.HostTensors))
	if raceDetector {
		m.note("address space", fmt.Errorf("the race detector maps terabytes"))
	} else {
		m.note("address space", limit(unix.RLIMIT_AS, space))
	}
	m.note("descriptors", limit(unix.RLIMIT_NOFILE, uint64(files+spareDescriptors)))
	m.note("file size", limit(unix.RLIMIT_FSIZE, maxCacheFile))
	rights := uint64(readFiles)
	if cold {
		rights = writeFiles
	}
	m.note("files", restrictFiles(cache, rights))
	return m
}

// confineForRunning is taken when the module is compiled and before any of it runs: no file can be opened or written, no descriptor made,
// and no system call issued but those that the Go runtime computes with.
func confineForRunning() []string {
	var m missing
	m.note("file size", limit(unix.RLIMIT_FSIZE, 0))
	m.note("files", restrictFiles("", 0))
	m.note("descriptors", limit(unix.RLIMIT_NOFILE, 0))
	m.note("system calls", restrictSystemCalls(nil))
	return m
}

// limit lowers a resource limit for good. One that is lower already stays: it may not be raised, and confines as well.
func limit(resource int, value uint64) error {
	var now unix.Rlimit
	if err := unix.Prlimit(0, resource, nil, &now); err != nil {
		return err
	}
	value = min(value, now.Max)
	return unix.Prlimit(0, resource, &unix.Rlimit{Cur: value, Max: value}, nil)
}

// dropCapabilities leaves root's worker no more than any user's has, on all threads. Only who has some can have lost any.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3} // of the calling thread
	var none [2]unix.CapUserData
	// Not through onAllThreads: the pointers are only kept where they are in a call of the system call itself.
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
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
