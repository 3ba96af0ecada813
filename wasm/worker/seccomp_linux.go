package worker

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// computing are the system calls of a Go process that only computes, reads files it has open and talks through pipes it has open. None
// opens, creates, connects or executes anything.
var computing = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_PREAD64, unix.SYS_CLOSE, unix.SYS_FSTAT, unix.SYS_LSEEK,
	unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_MREMAP, unix.SYS_MINCORE, unix.SYS_BRK,
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY,
	unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETRANDOM,
	unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
	unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// preparing are those it issues beside while it waits for its job, compiles a module and confines itself further. They open files, which
// landlock bounds, and change the process itself.
var preparing = []uint32{
	unix.SYS_OPENAT, unix.SYS_NEWFSTATAT, unix.SYS_READLINKAT, unix.SYS_FCNTL, unix.SYS_GETDENTS64, unix.SYS_MKDIRAT, unix.SYS_UNLINKAT,
	unix.SYS_RENAMEAT, unix.SYS_FSYNC, unix.SYS_FTRUNCATE, unix.SYS_RECVMSG,
	unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
	unix.SYS_PRCTL, unix.SYS_SECCOMP,
	unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF,
}

// Offsets in struct seccomp_data, and what a filter returns.
const (
	dataNumber   = 0
	dataArch     = 4
	dataArgument = 16 // lower half of the first argument, on a little-endian machine

	returnAllow = 0x7fff0000
	returnErrno = 0x00050000
	returnKill  = 0x80000000

	setFilter   = 1 // SECCOMP_SET_MODE_FILTER
	syncThreads = 1 // SECCOMP_FILTER_FLAG_TSYNC
)

// architectures are what seccomp calls the machines Tenon is built for.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// restrictSystemCalls leaves the process the system calls in computing and beside, threads of its own, and signals to them. Everything else
// fails with EPERM, on all threads and for good.
func restrictSystemCalls(beside []uint32) error {
	arch, known := architectures[runtime.GOARCH]
	if !known {
		return fmt.Errorf("seccomp: no filter for %s", runtime.GOARCH)
	}
	// With the flag below the filter reaches every thread; this thread alone must have given up privileges, whatever the others could.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	filter := systemCallFilter(arch, uint32(unix.Getpid()), beside)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, setFilter, syncThreads, uintptr(unsafe.Pointer(&program)))
	switch {
	case errno != 0:
		return fmt.Errorf("seccomp: %w", errno)
	case thread != 0:
		return fmt.Errorf("seccomp: thread %d could not take the filter", thread)
	}
	return nil
}

// systemCallFilter writes the filter. Each test is two instructions, compare and return, so that no jump is longer than one.
func systemCallFilter(arch, pid uint32, beside []uint32) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	give := func(value uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value}
	}
	equal := func(value uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jt: yes, Jf: no}
	}
	anyBit := func(value uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: value, Jt: yes, Jf: no}
	}
	const refuse = returnErrno | uint32(unix.EPERM)
	filter := []unix.SockFilter{load(dataArch), equal(arch, 1, 0), give(returnKill), load(dataNumber)}
	for _, call := range slices.Concat(computing, beside) {
		filter = append(filter, equal(call, 0, 1), give(returnAllow))
	}
	return append(filter,
		// A C library that is told clone3 does not exist uses clone.
		equal(unix.SYS_CLONE3, 0, 1), give(returnErrno|uint32(unix.ENOSYS)),
		// clone makes threads, not processes.
		equal(unix.SYS_CLONE, 0, 4), load(dataArgument), anyBit(unix.CLONE_THREAD, 0, 1), give(returnAllow), give(refuse),
		// Limits are those of this process: the user's other processes could be ended by theirs.
		equal(unix.SYS_PRLIMIT64, 0, 4), load(dataArgument), equal(0, 0, 1), give(returnAllow), give(refuse),
		// Signals go to threads of this process.
		equal(unix.SYS_TGKILL, 0, 3), load(dataArgument), equal(pid, 0, 1), give(returnAllow),
		give(refuse),
	)
}
