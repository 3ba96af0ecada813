//go:build unix

package worker

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// batch is how many descriptors travel at once. The kernel takes 253 with one message, and counts what is on its way against the user.
const batch = 64

// inlet makes the socket that is a worker's stdin.
func inlet() (ours, theirs *os.File, err error) {
	pair, err := socketpair()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	err = unix.SetNonblock(pair[0], true) // so that closing it ends a write that is under way
	return os.NewFile(uintptr(pair[0]), "a worker's inlet"), os.NewFile(uintptr(pair[1]), "stdin"), err
}

// sendFiles hands descriptors to the worker, a batch at a time, and waits until it has taken each.
func sendFiles(to *os.File, files []*os.File) error {
	socket, err := to.SyscallConn()
	if err != nil {
		return err
	}
	for len(files) > 0 {
		some := files[:min(batch, len(files))]
		files = files[len(some):]
		if err := withDescriptors(some, nil, func(descriptors []int) error {
			var sendErr error
			err := socket.Write(func(fd uintptr) bool {
				sendErr = os.NewSyscallError("sendmsg", unix.Sendmsg(int(fd), []byte{1}, unix.UnixRights(descriptors...), nil, 0))
				return !errors.Is(sendErr, unix.EAGAIN)
			})
			return errors.Join(err, sendErr)
		}); err != nil {
			return err
		}
		var taken [1]byte
		if _, err := io.ReadFull(to, taken[:]); err != nil {
			return err
		}
	}
	return nil
}

// withDescriptors calls do while none of the files can be closed.
func withDescriptors(files []*os.File, descriptors []int, do func([]int) error) error {
	if len(files) == 0 {
		return do(descriptors)
	}
	connection, err := files[0].SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = connection.Control(func(fd uintptr) { inner = withDescriptors(files[1:], append(descriptors, int(fd)), do) })
	if err != nil {
		err = fmt.Errorf("%s: %w", files[0].Name(), err)
	}
	return errors.Join(err, inner)
}

// receiveFiles takes n descriptors from the parent.
func receiveFiles(from *os.File, n int) ([]*os.File, error) {
	var files []*os.File
	control := make([]byte, unix.CmsgSpace(4*batch))
	for len(files) < n {
		descriptors, err := receiveBatch(int(from.Fd()), control)
		if err != nil {
			return nil, err
		}
		if len(descriptors) != min(batch, n-len(files)) {
			return nil, fmt.Errorf("%d descriptors arrived after %d of %d", len(descriptors), len(files), n)
		}
		for _, fd := range descriptors {
			files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("file %d of the request", len(files))))
		}
		if _, err := from.Write([]byte{1}); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func receiveBatch(socket int, control []byte) ([]int, error) {
	var one [1]byte
	n, size, flags, _, err := unix.Recvmsg(socket, one[:], control, 0)
	for err == unix.EINTR {
		n, size, flags, _, err = unix.Recvmsg(socket, one[:], control, 0)
	}
	if err != nil || n != 1 || flags&unix.MSG_CTRUNC != 0 {
		return nil, fmt.Errorf("receiving descriptors: %d bytes, flags %#x: %w", n, flags, err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:size])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("receiving descriptors: %d messages: %w", len(messages), err)
	}
	return unix.ParseUnixRights(&messages[0])
}
