package adapter

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tenon-ml/tenon/host/bundle"
	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// bundleEnding is how the bundles that Pack writes are called.
const bundleEnding = ".tar.zst"

// Packed is a bundle that was written.
type Packed struct {
	Ref     string
	Out     string
	Format  string
	Adapter [32]byte // identity of the adapter, the same as of the directory it was packed from
	Bundle  [32]byte // SHA-256 of the file
	Size    int64    // of the file
	Files   []File   // what is in it, besides the manifest; their Data is gone
}

// Pack writes an adapter as a bundle: the files of its identity, by the names that the identity knows them by, and the README, LICENSE and NOTICE
// files beside them; with a manifest of their sizes and digests. Nothing else of the directory travels. The same adapter gives the same bytes.
// What cannot be opened cannot be packed. out must not exist; it is read back before it takes its name.
func Pack(ref, out string) (*Packed, error) {
	if !strings.HasSuffix(out, bundleEnding) {
		return nil, fault.New(fault.UsageFlag, "%q is no name for a bundle", out).Fix("give a name that ends in %s", bundleEnding)
	}
	if _, err := os.Lstat(out); err == nil {
		return nil, fault.New(fault.MergeExists, "the output exists").In(out).Fix("give a new name; nothing is ever written over")
	}
	a, beside, err := OpenPackage(ref)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	p := &Packed{Ref: ref, Out: out, Format: a.Format, Adapter: a.Digest, Files: append(a.Files, beside...)}
	work, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".tenon-*")
	if err != nil {
		return nil, fault.New(fault.IOWrite, "the output's directory cannot be written").In(filepath.Dir(out)).Wrap(reference.Bare(err)).Fix("make it first")
	}
	defer os.RemoveAll(work)
	made := filepath.Join(work, filepath.Base(out))
	if err := durable.Create(made, p.write); err != nil {
		return nil, err
	}
	back, err := Open(made)
	if err != nil {
		return nil, err
	}
	defer back.Close()
	if back.Digest != a.Digest {
		return nil, fault.New(fault.DigestBad, "the bundle does not hold what was packed").In(out).Fix("check the disk, and pack it again")
	}
	if err := os.Link(made, out); errors.Is(err, fs.ErrExist) { // unlike a rename it never takes the place of what somebody made meanwhile
		return nil, fault.New(fault.MergeExists, "somebody made the output meanwhile").In(out).Fix("give a new name; nothing is ever written over")
	} else if err != nil {
		return nil, durable.Fault(out, err)
	}
	return p, durable.SyncDir(filepath.Dir(out))
}

// write writes the bundle and takes its digest.
func (p *Packed) write(w io.Writer) error {
	contents := make([]bundle.Content, len(p.Files))
	for i, f := range p.Files {
		contents[i] = bundle.Content(f)
	}
	hash := sha256.New()
	counted := &counter{to: io.MultiWriter(w, hash)}
	err := bundle.Write(counted, p.Adapter, p.Format, contents)
	p.Bundle, p.Size = [32]byte(hash.Sum(nil)), counted.n
	return err
}

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}
