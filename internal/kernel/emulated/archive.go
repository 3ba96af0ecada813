package main

import (
	"bytes"
	"fmt"
)

// archive is an initial file system for Linux: a cpio archive of the "newc" kind, laid out as Documentation/driver-api/early-userspace/
// buffer-format.rst of the kernel tells. Directories come before what they hold.
type archive struct {
	bytes.Buffer
	files int
}

func (a *archive) directory(name string) { a.entry(name, 0o040755, nil) }

func (a *archive) file(name string, content []byte) { a.entry(name, 0o100755, content) }

// end adds the entry that closes the archive, and returns it.
func (a *archive) end() []byte {
	a.entry("TRAILER!!!", 0, nil)
	return a.Bytes()
}

func (a *archive) entry(name string, mode int, content []byte) {
	a.files++
	a.WriteString("070701")
	// Inode, mode, user, group, links, time, size, the device's and the node's two numbers, the name's length with its zero byte, and a
	// checksum that this kind has not.
	for _, field := range []int{a.files, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0} {
		fmt.Fprintf(a, "%08X", field)
	}
	a.WriteString(name)
	a.WriteByte(0)
	a.pad()
	a.Write(content)
	a.pad()
}

func (a *archive) pad() {
	for a.Len()%4 != 0 {
		a.WriteByte(0)
	}
}
