package base

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// carried are the files that belong to a model besides its weights.
var carried = []string{
	configName, generationName, indexName, diffusersIndexName, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model",
	"added_tokens.json", "chat_template.jinja", "chat_template.json", "vocab.json", "merges.txt", "preprocessor_config.json", "README.md",
}

// isCarried reports whether a merged directory takes an entry over: a file of a known name, or a licence. A folder of licences, such as
// REUSE's LICENSES, belongs to no model.
func (d directory) isCarried(name string) bool {
	return slices.Contains(carried, name) || (strings.HasPrefix(name, "LICENSE") || strings.HasPrefix(name, "NOTICE")) && !d.IsFolder(name)
}

// hashing bounds how many files are hashed at once: two keep a disk busy, more make it seek.
const hashing = 2

// identify fills Files, the digests of the shards and the base's own digest: the SHA-256 of one line "<hex SHA-256>  <name>\n" for each of
// config.json, the index and the shards, in the order of their names. documents are those of them that have been parsed; their digests are
// of the text that was parsed. Those of shards may come from memory.
func (b *Base) identify(d directory, documents []*document, memory memory) error {
	var names []string
	for _, name := range d.Entries {
		if d.isCarried(name) && (!isIndex(name) || slices.ContainsFunc(documents, func(doc *document) bool { return doc.name == name })) {
			names = append(names, name)
		}
	}
	b.Files = make([]File, len(names))
	errs := make([]error, len(names)+len(b.Shards))
	var group errgroup.Group
	group.SetLimit(hashing)
	for i := range b.Shards {
		group.Go(func() error {
			s := &b.Shards[i]
			known := false
			if s.SHA256, known = memory.recall(s.Path, s.opened); known {
				return nil
			}
			_, _, settled := memory.entry(s.Path, s.opened) // before hashing, which takes long enough for a change to look old
			if s.SHA256, errs[i] = hashFile(s.File.Name(), s.Os(), s.opened); errs[i] == nil && settled {
				memory.remember(s.Path, s.opened, s.SHA256)
			}
			return nil
		})
	}
	for i, name := range names {
		group.Go(func() error {
			b.Files[i], errs[len(b.Shards)+i] = d.identifyFile(name, documents)
			return nil
		})
	}
	group.Wait()
	if err := join(errs...); err != nil {
		return err
	}
	lines := map[string][32]byte{}
	for _, s := range b.Shards {
		lines[s.Name] = s.SHA256
	}
	for _, f := range b.Files {
		if f.Name == configName || isIndex(f.Name) {
			lines[f.Name] = f.SHA256
		}
	}
	digest := sha256.New()
	for _, name := range sortedKeys(lines) {
		fmt.Fprintf(digest, "%x  %s\n", lines[name], name)
	}
	digest.Sum(b.Digest[:0])
	return nil
}

// identifyFile hashes one of the files that are carried over.
func (d directory) identifyFile(name string, documents []*document) (File, error) {
	file := File{Path: filepath.Join(d.Real, name), Name: name}
	for _, doc := range documents {
		if doc.name == name {
			file.Size, file.SHA256 = int64(len(doc.text)), sha256.Sum256(doc.text)
			return file, nil
		}
	}
	f, err := d.Open(name)
	if err != nil {
		return file, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return file, fault.New(fault.IORead, "its attributes cannot be read").In(d.Name(name)).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	file.Size = info.Size()
	if file.Size > maxCarryBytes {
		return file, fault.New(fault.STTooLarge, "the file has %d bytes; the limit for one beside the weights is %d", file.Size, maxCarryBytes).
			In(d.Name(name)).Fix("check that this is the right file")
	}
	head := make([]byte, min(file.Size, 512))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return file, fault.New(fault.IORead, "it cannot be read").In(d.Name(name)).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	if kind, ok := safetensors.Sniff(head); ok && strings.Contains(kind, "pointer") {
		return file, pointerFault(d.Name(name), kind)
	}
	file.SHA256, err = hashFile(d.Name(name), f, info)
	return file, err
}

// hashFile hashes an open file that was as before when it was opened, and fails when it has been written to since.
func hashFile(shown string, f *os.File, before fs.FileInfo) (sum [32]byte, err error) {
	hash := sha256.New()
	n, err := io.CopyBuffer(onlyWriter{hash}, io.NewSectionReader(f, 0, before.Size()), make([]byte, 1<<20))
	if err != nil {
		return sum, fault.New(fault.IORead, "reading failed after %d of %d bytes", n, before.Size()).In(shown).AtByte(n).
			Wrap(reference.Bare(err)).Fix("check the disk")
	}
	after, err := f.Stat()
	if err != nil {
		return sum, fault.New(fault.IORead, "its attributes cannot be read").In(shown).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	if n != before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return sum, fault.New(fault.STChanged, "the file was written to while it was read: %d bytes before, %d after",
			before.Size(), after.Size()).In(shown).Fix("use a file that nobody is writing")
	}
	hash.Sum(sum[:0])
	return sum, nil
}

// onlyWriter hides every other method, so that CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }
