// Package fault is the one shape of everything Tenon refuses: a stable code, the place, one cause, and what to do about it.
package fault

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Code names a refusal for ever. Codes are added, never renamed or reused; codes.go lists them all.
type Code string

// Class tells what a fault means for whoever asked.
type Class uint8

const (
	// Rejected: the input was read to its end and is not acceptable (exit code 1).
	Rejected Class = iota
	// Usage: the command line, a policy or a configuration file is wrong (exit code 2).
	Usage
	// Operational: the question could not be answered, because of a missing file, a device, or a full disk (exit code 3).
	Operational
	// Inconclusive: a diagnostic did not run to its end, so the gate stays closed (exit code 4).
	Inconclusive
)

// Error is one refusal. The zero value of a field means "does not apply", except Offset, where 0 is a real place: use NoOffset.
type Error struct {
	Code    Code
	File    string // path as the user wrote it
	Pointer string // RFC 6901 JSON pointer inside File
	Tensor  string
	Offset  int64  // byte offset inside File, or NoOffset
	Cause   string // one sentence fragment, lower case, no full stop
	Remedy  string // what to do, imperative
	Err     error  // what this wraps, if anything
}

// NoOffset marks an Error that is about no single byte.
const NoOffset int64 = -1

// New returns an Error with no offset; set the other places on the result.
func New(code Code, cause string, args ...any) *Error {
	return &Error{Code: code, Offset: NoOffset, Cause: fmt.Sprintf(cause, args...)}
}

// In sets the file.
func (e *Error) In(file string) *Error { e.File = file; return e }

// At sets the JSON pointer.
func (e *Error) At(pointer string) *Error { e.Pointer = pointer; return e }

// Of sets the tensor.
func (e *Error) Of(tensor string) *Error { e.Tensor = tensor; return e }

// AtByte sets the byte offset.
func (e *Error) AtByte(offset int64) *Error { e.Offset = offset; return e }

// Fix sets the remedy.
func (e *Error) Fix(remedy string, args ...any) *Error {
	e.Remedy = fmt.Sprintf(remedy, args...)
	return e
}

// Wrap keeps the error underneath.
func (e *Error) Wrap(err error) *Error { e.Err = err; return e }

// Place is where the fault is: "file#/pointer tensor "name" byte 123", with the parts that apply.
func (e *Error) Place() string {
	var parts []string
	if e.File != "" || e.Pointer != "" {
		place := e.File
		if e.Pointer != "" {
			place += "#" + e.Pointer
		}
		parts = append(parts, place)
	}
	if e.Tensor != "" {
		parts = append(parts, fmt.Sprintf("tensor %q", e.Tensor))
	}
	if e.Offset != NoOffset {
		parts = append(parts, fmt.Sprintf("byte %d", e.Offset))
	}
	return strings.Join(parts, " ")
}

// Error is "CODE: place: cause: wrapped (remedy)". File and tensor names are foreign bytes: callers that
// print to a terminal escape them (report.Escape).
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Code))
	if place := e.Place(); place != "" {
		b.WriteString(": " + place)
	}
	b.WriteString(": " + e.Cause)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Remedy != "" {
		b.WriteString(" (" + e.Remedy + ")")
	}
	return b.String()
}

// Unwrap returns what this wraps.
func (e *Error) Unwrap() error { return e.Err }

// List is every refusal of one input, reported in one go.
type List []*Error

// Add appends to the list.
func (l *List) Add(e *Error) { *l = append(*l, e) }

// Err sorts the list by file, tensor, pointer, offset and code and returns it, or nil when it is empty.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	sort.SliceStable(l, func(i, j int) bool {
		a, b := l[i], l[j]
		switch {
		case a.File != b.File:
			return a.File < b.File
		case a.Tensor != b.Tensor:
			return a.Tensor < b.Tensor
		case a.Pointer != b.Pointer:
			return a.Pointer < b.Pointer
		case a.Offset != b.Offset:
			return a.Offset < b.Offset
		}
		return a.Code < b.Code
	})
	return l
}

// Error is one line for each refusal.
func (l List) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find any of them.
func (l List) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// All returns every *Error in err's tree, in order; nil when there is none.
func All(err error) List {
	var list List
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case nil:
		case *Error:
			list = append(list, e)
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		default:
			walk(errors.Unwrap(err))
		}
	}
	walk(err)
	return list
}

// ClassOf is the gravest class in err: Operational before Usage before Inconclusive before Rejected. An error
// that carries no Error is Operational: a result nobody knows must not look like an answer.
func ClassOf(err error) Class {
	list := All(err)
	if len(list) == 0 {
		return Operational
	}
	has := map[Class]bool{}
	for _, e := range list {
		has[e.Code.Class()] = true
	}
	for _, c := range []Class{Operational, Usage, Inconclusive} {
		if has[c] {
			return c
		}
	}
	return Rejected
}
