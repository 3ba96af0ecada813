package worker

import "golang.org/x/sys/unix"

// socketpair makes two connected sockets that no process started meanwhile can inherit.
func socketpair() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}
