package diag

import (
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/internal/host"
)

// Error is a call the host answered with a status below zero. errors.Is compares it with the statuses: errors.Is(err, abi.Denied).
type Error struct {
	Call   string // the function of the ABI, and what it was about
	Status abi.Status
	Text   string // the status in the host's own words, or empty
}

// Error gives the call and the host's words, or the status where it has none.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Call + ": " + e.Status.Error()
	}
	return e.Call + ": " + e.Text
}

// Unwrap gives the status.
func (e *Error) Unwrap() error { return e.Status }

func failure(call string, status int32) *Error {
	e := &Error{Call: call, Status: abi.Status(status)}
	var buffer [256]byte
	n := host.LastError(buffer[:])
	if n > int32(len(buffer)) {
		long := make([]byte, n)
		if n = host.LastError(long); n >= 0 && n <= int32(len(long)) {
			e.Text = string(long[:n])
		}
	} else if n > 0 {
		e.Text = string(buffer[:n])
	}
	// The host begins with the function's name, and so does call.
	name := 0
	for name < len(call) && call[name] != ' ' {
		name++
	}
	if prefix := call[:name] + ": "; len(e.Text) > len(prefix) && e.Text[:len(prefix)] == prefix {
		e.Text = e.Text[len(prefix):]
	}
	return e
}

// text reads a string out of the host: read writes into dst and gives the length, or only the length when dst is too short.
func text(call string, read func(dst []byte) int32) (string, *Error) {
	buffer := make([]byte, 128)
	for {
		n := read(buffer)
		if n < 0 {
			return "", failure(call, n)
		}
		if int(n) <= len(buffer) {
			return string(buffer[:n]), nil
		}
		buffer = make([]byte, n)
	}
}

var _ error = (*Error)(nil)
