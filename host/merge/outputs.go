package merge

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// list carries over the base's other files and enters everything in the receipt.
func (w *writing) list(ctx context.Context, r *Receipt) error {
	own := map[string]bool{
		ReceiptName: true, // a base that was itself merged has a receipt of its own, which is not true of this directory
	}
	merged := Digests{}
	for _, s := range w.layout.shards {
		own[s.name] = true
		r.Files = append(r.Files, ReceiptFile{Name: s.name, Size: s.size, Header: hashText(s.header)})
		for _, c := range s.pieces {
			entry := w.done[c.to.Name]
			r.Tensors = append(r.Tensors, ReceiptTensor{
				Name: c.to.Name, File: s.name, SHA256: hexDigest(entry.sum), Merged: c.item != nil, Added: c.added, Changed: entry.changed,
			})
			if c.item != nil || c.added {
				merged[c.to.Name] = entry.sum
			}
		}
	}
	content, err := w.plan.contentDigest(merged)
	if err != nil {
		return err
	}
	r.Content = DigestString(content)
	if w.layout.cut || w.layout.index != nil {
		own[indexName] = true
	}
	if w.layout.index != nil {
		if err := writeText(filepath.Join(w.work.model, indexName), w.layout.index); err != nil {
			return err
		}
		r.Files = append(r.Files, ReceiptFile{Name: indexName, Size: int64(len(w.layout.index)), SHA256: hashText(w.layout.index)})
	}
	for _, f := range w.plan.Base.Files {
		if own[f.Name] {
			continue
		}
		if err := copyFile(ctx, f, filepath.Join(w.work.model, f.Name)); err != nil {
			return err
		}
		r.Files = append(r.Files, ReceiptFile{Name: f.Name, Size: f.Size, SHA256: hexDigest(f.SHA256)})
	}
	slices.SortFunc(r.Files, func(a, b ReceiptFile) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Tensors, func(a, b ReceiptTensor) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func hashText(text []byte) string {
	h := newDigest()
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil))
}

// copyFile carries over one of the base's other files, holding its bytes against the digest it was opened with.
func copyFile(ctx context.Context, f base.File, path string) error {
	source, err := os.Open(f.Path)
	if err != nil {
		return fault.New(fault.IORead, "it cannot be read").In(f.Path).Wrap(err)
	}
	defer source.Close()
	return create(path, func(target io.Writer) error {
		h := newDigest()
		n, err := io.Copy(io.MultiWriter(target, h), contextReader{ctx, io.LimitReader(source, f.Size+1)})
		if err != nil {
			return err
		}
		if n != f.Size || [32]byte(h.Sum(nil)) != f.SHA256 {
			return fault.New(fault.STChanged, "the file changed while the base was open").In(f.Path).Fix("merge again")
		}
		return nil
	})
}

func writeText(path string, text []byte) error {
	return create(path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// create writes a file of the work directory in place of what an interrupted run left of it.
func create(path string, fill func(io.Writer) error) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return durable.Fault(path, err)
	}
	return durable.Create(path, fill)
}
