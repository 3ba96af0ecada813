package worker

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tryCalls prints which system calls a confined process can make that look into others, signal or limit them, or go around the filter.
func tryCalls(when string) {
	var byte1 [1]byte
	local := unix.Iovec{Base: &byte1[0], Len: 1}
	self := uintptr(unsafe.Pointer(&ownByte))
	remote := unix.RemoteIovec{Base: self, Len: 1}
	var limit unix.Rlimit
	for name, call := range map[string]func() error{
		"signal all it can":    func() error { return unix.Kill(-1, 0) },
		"signal its group":     func() error { return unix.Kill(0, 0) },
		"attach to its parent": func() error { return unix.PtraceSeize(os.Getppid()) },
		"read its parent's memory": func() error {
			_, err := unix.ProcessVMReadv(os.Getppid(), []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
			return err
		},
		"read its parent's limits": func() error { return unix.Prlimit(os.Getppid(), unix.RLIMIT_NOFILE, nil, &limit) },
		"make a ring of system calls": func() error {
			var params [120]byte
			_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
			return result(errno)
		},
		"make a file in memory": func() error { _, err := unix.MemfdCreate("x", 0); return err },
		"watch its parent":      func() error { _, err := unix.PidfdOpen(os.Getppid(), 0); return err },
		"make a namespace":      func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"load a program of filters": func() error {
			_, _, errno := unix.Syscall(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&limit)), 8)
			return result(errno)
		},
		"map 4 GiB": func() error {
			_, err := unix.Mmap(-1, 0, 4<<30, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
			return err
		},
	} {
		if name == "map 4 GiB" && raceDetector {
			continue // which has no limit on addresses
		}
		if call() == nil {
			fmt.Println(when, "it could", name)
		}
	}
}

var ownByte byte

func result(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
