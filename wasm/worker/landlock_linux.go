package worker

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a directory may be used for while a module is compiled.
const (
	readFiles  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	writeFiles = readFiles | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE
)

// The rights Landlock can take away, by the version of its interface: files from 1, moving (2) and truncating (3), TCP (4), devices (5).
const (
	filesV1 = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1
	netV4   = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
)

// restrictFiles takes away every right to files and TCP, on all threads and for good, but the given rights beneath dir. Descriptors that
// are open stay usable. Called twice, both restrictions hold. An empty dir leaves nothing.
//
// Landlock's own scope for signals is not taken: before Linux 6.15 it also cuts the threads of one process off from each other, which the
// Go runtime needs. The filter of system calls has that part.
func restrictFiles(dir string, rights uint64) error {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	handled := unix.LandlockRulesetAttr{Handled_access_fs: filesV1}
	if version >= 2 {
		handled.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		handled.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	size := unsafe.Sizeof(handled.Handled_access_fs) // the struct's size before version 4
	if version >= 4 {
		handled.Handled_access_net = netV4
		size += unsafe.Sizeof(handled.Handled_access_net)
	}
	if version >= 5 {
		handled.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	rules, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&handled)), size, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: a set of rules: %w", errno)
	}
	defer unix.Close(int(rules))
	if dir != "" {
		if err := allow(int(rules), dir, rights&handled.Handled_access_fs); err != nil {
			return err
		}
	}
	if err := onAllThreads(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return nil
}

// allow adds a rule that keeps rights beneath dir.
func allow(rules int, dir string, rights uint64) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("landlock: the cache directory: %w", err)
	}
	defer unix.Close(fd)
	beneath := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&beneath)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: a rule for the cache directory: %w", errno)
	}
	return nil
}
