// Package bank keeps what modules remember of adapters that an operator knows to be good. A module that wants to hold an adapter against
// them reports grids of one row named "features"; when the operator adds an adapter to the bank, these are stored, and on later checks the
// module gets them back as a table.
//
// A bank is a directory with a folder for each base, BANK/<base digest>/, and in it one file for each adapter, <adapter digest>.json, both
// in hexadecimal. Each file is complete in itself and written in one step, so several processes can add at once, a bank can be copied or
// merged with cp, and removing an adapter removes one file.
package bank

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// Invalid is the fault of a bank with something in it that does not belong there, or a file that is not what its name says.
const Invalid = fault.BankInvalid

// What a bank may hold. A person reads these limits only after a mistake or an attack.
const (
	maxBases    = 10_000
	maxAdapters = 10_000    // for one base
	maxEntry    = 16 << 20  // bytes of one file
	maxNumbers  = 128 << 20 // features of all adapters of one base: 1 GiB of them
)

// Bank is the adapters that are known for one base. It is immutable and safe for concurrent use. It implements gate.Bank.
type Bank struct {
	base    [32]byte
	names   []string // "sha256:…", ascending
	entries []Entry  // in the order of names
	table   map[place]*column
	digest  [32]byte
}

// place is where a module reported features.
type place struct{ module, version, target string }

// column is what a module remembers of one place: rows of one width, and whose they are.
type column struct {
	width  int
	owners []int // indices into names, ascending
	rows   [][]float64
}

// Empty is a bank of a base with nothing in it: what an adapter is checked with before it is added, so that what is in a bank does not depend
// on the order of adding.
func Empty(base [32]byte) *Bank {
	return &Bank{base: base, table: map[place]*column{}, digest: sha256.Sum256(nil)}
}

// fileName is what the file of an adapter is called.
var fileName = regexp.MustCompile(`^[0-9a-f]{64}\.json$`)

// folderName is what the folder of a base is called.
var folderName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Open reads what a bank knows for one base; nothing, where the bank has no folder for it. Files whose names begin with a dot are left over
// from writing that was cut off, and are not looked at. Everything else that is no entry is refused, all of it in one list.
func Open(dir string, base [32]byte) (*Bank, error) {
	folders, err := openDirectory(dir, maxBases)
	if err != nil {
		return nil, err
	}
	defer folders.Close()
	b := Empty(base)
	name := hex.EncodeToString(base[:])
	if !folders.Has(name) {
		return b, nil
	}
	if !folders.IsFolder(name) {
		return nil, fault.New(Invalid, "a bank's entries of one base are a folder, and this is none").In(folders.Name(name)).Fix("remove it")
	}
	files, err := openDirectory(folders.Name(name), maxAdapters)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	var problems fault.List
	lines := sha256.New()
	numbers := 0
	for _, file := range files.Entries {
		switch {
		case strings.HasPrefix(file, "."):
			continue
		case !fileName.MatchString(file):
			problems.Add(fault.New(Invalid, "the file is no entry of a bank: an entry is called by the digest of its adapter, and ends in .json").
				In(files.Name(file)).Fix("move it elsewhere"))
			continue
		}
		entry, sum, err := read(files, file, name)
		if err == nil {
			for _, f := range entry.Features {
				numbers += len(f.Values)
			}
			if numbers > maxNumbers {
				err = fault.New(Invalid, "the bank has more than %d numbers up to this file", maxNumbers).In(files.Name(file)).Fix("remove some adapters")
			} else {
				err = b.add(files.Name(file), entry)
			}
		}
		if err != nil {
			if problems = append(problems, fault.All(err)...); numbers > maxNumbers || fault.ClassOf(err) == fault.Operational {
				break
			}
			continue
		}
		fmt.Fprintf(lines, "%x  %s\n", sum, file)
	}
	if err := b.tooLarge(); err != nil && len(problems) == 0 {
		problems.Add(err.In(dir).Fix("remove some adapters: tenon bank remove"))
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	lines.Sum(b.digest[:0])
	return b, nil
}

// add enters an adapter, in the order of names.
func (b *Bank) add(file string, e *Entry) error {
	for _, f := range e.Features {
		if c := b.table[place{f.Module, f.Version, f.Target}]; c != nil && c.width != len(f.Values) {
			return fault.New(Invalid, "%s %s has %d features for %q here, and %d in another entry of this bank", f.Module, f.Version,
				len(f.Values), f.Target, c.width).In(file).At("/features").Fix("remove one of the two and add its adapter again")
		}
	}
	for _, f := range e.Features {
		at := place{f.Module, f.Version, f.Target}
		if b.table[at] == nil {
			b.table[at] = &column{width: len(f.Values)}
		}
		row := make([]float64, len(f.Values))
		for i, v := range f.Values {
			row[i] = float64(v)
		}
		c := b.table[at]
		c.owners, c.rows = append(c.owners, len(b.names)), append(c.rows, row)
	}
	b.names = append(b.names, e.Adapter.Digest)
	b.entries = append(b.entries, *e)
	return nil
}

// tooLarge refuses a bank of which one module could not be given its part: a table for each target, with a row for each adapter.
func (b *Bank) tooLarge() *fault.Error {
	width := map[[2]string]int{} // of all tables of a module together
	for at, c := range b.table {
		width[[2]string{at.module, at.version}] += c.width
	}
	for _, module := range slices.SortedFunc(maps.Keys(width), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) }) {
		if n := width[module] * len(b.names); n > sandbox.MaxBankValues {
			return fault.New(Invalid, "the tables of %s %s would have %d numbers for %d adapters, and the limit is %d", module[0], module[1], n,
				len(b.names), sandbox.MaxBankValues)
		}
	}
	return nil
}

// Names are the digests of the adapters, "sha256:…", ascending.
func (b *Bank) Names() []string { return slices.Clone(b.names) }

// Entries are the adapters, in the order of Names.
func (b *Bank) Entries() []Entry { return slices.Clone(b.entries) }

// Features is what a module of that version reported of each adapter for a target, "" for the adapter as a whole, in the order of Names; nil
// for an adapter of which it reported nothing, or another version did. Rows are of one length, and not to be written to.
func (b *Bank) Features(module, version, target string) [][]float64 {
	rows := make([][]float64, len(b.names))
	if c := b.table[place{module, version, target}]; c != nil {
		for i, owner := range c.owners {
			rows[owner] = c.rows[i]
		}
	}
	return rows
}

// Digest is the SHA-256 of lines "<sha256 of the file>  <file>\n" in the order of names.
func (b *Bank) Digest() [32]byte { return b.digest }

// Bases are the digests of the bases that a bank has folders for, ascending.
func Bases(dir string) ([][32]byte, error) {
	folders, err := openDirectory(dir, maxBases)
	if err != nil {
		return nil, err
	}
	defer folders.Close()
	var problems fault.List
	var bases [][32]byte
	for _, name := range folders.Entries {
		if !folderName.MatchString(name) || !folders.IsFolder(name) {
			if !strings.HasPrefix(name, ".") {
				problems.Add(fault.New(Invalid, "it is no part of a bank: a bank has a folder for each base, called by its digest").
					In(folders.Name(name)).Fix("move it elsewhere, or give the bank's own directory"))
			}
			continue
		}
		sum, err := hex.DecodeString(name)
		if err != nil {
			return nil, err
		}
		bases = append(bases, [32]byte(sum))
	}
	return bases, problems.Err()
}

func openDirectory(dir string, entries int) (*reference.Directory, error) {
	isFile := func(path string, _ []byte) error {
		return fault.New(fault.UsageFlag, "this is a file, and a bank is a directory").In(path).Fix("give the directory that tenon bank add made")
	}
	return reference.Open(dir, reference.Subject{Name: "bank", Mark: "the adapters' entries", Entries: entries, File: isFile})
}

// folder is the path of a base's folder.
func folder(dir string, base [32]byte) string {
	return filepath.Join(dir, hex.EncodeToString(base[:]))
}
