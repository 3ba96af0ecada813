package merge

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// ReceiptName is the file in a merged directory that says what it is made of.
const ReceiptName = "tenon-receipt.json"

// ReceiptSchema is the schema of Receipt.
const ReceiptSchema = "tenon.receipt/v1"

// Receipt binds a merged checkpoint to what it came from and to every byte of it. It holds no time and no machine: the same inputs give
// the same receipt.
type Receipt struct {
	SchemaVersion string              `json:"schemaVersion"`
	Rule          string              `json:"rule"`
	Generation    string              `json:"generation"` // digest of the plan
	Content       string              `json:"content"`    // of Digests: the merged tensors
	Base          ReceiptBase         `json:"base"`
	Adapters      []ReceiptAdapter    `json:"adapters"`
	Combination   *ReceiptCombination `json:"combination,omitzero"` // of several adapters
	Gate          ReceiptGate         `json:"gate"`
	Files         []ReceiptFile       `json:"files"`
	Tensors       []ReceiptTensor     `json:"tensors"`
}

// ReceiptBase is the checkpoint that was merged into.
type ReceiptBase struct {
	Ref    string `json:"ref"`
	Digest string `json:"digest"`
}

// ReceiptAdapter is an adapter that was merged. Scale is the user's multiplier.
type ReceiptAdapter struct {
	Ref    string        `json:"ref"`
	Digest string        `json:"digest"`
	Scale  report.Number `json:"scale"`
}

// ReceiptGate is the decision that let the merge happen: a verdict and its policy, or the reason for going without.
type ReceiptGate struct {
	Verdict  report.Verdict `json:"verdict"` // "" when the gate was overridden
	Policy   report.Policy  `json:"policy"`
	Override string         `json:"override,omitzero"` // the reason given with --no-check
}

// ReceiptFile is one file of the directory; every file but the receipt has an entry. A file of weights has Header, which with the digests
// of its tensors covers every byte of it, since tensors leave no gap; any other file has SHA256.
type ReceiptFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitzero"`       // of the whole file
	Header string `json:"headerSha256,omitzero"` // of a file of weights, up to its first tensor
}

// ReceiptTensor is one tensor. Changed counts the entries that differ from the base, for merged tensors, and all of what is added.
type ReceiptTensor struct {
	Name    string `json:"name"`
	File    string `json:"file"`
	SHA256  string `json:"sha256"`
	Merged  bool   `json:"merged,omitzero"`
	Added   bool   `json:"added,omitzero"` // the base has no such tensor: it is an adapter's
	Changed int64  `json:"changed,omitzero"`

	Stored   string           `json:"stored,omitzero"`   // how a GGUF file stores a merged tensor
	Rounding *ReceiptRounding `json:"rounding,omitzero"` // what that leaves of the change
}

func hexDigest(sum [32]byte) string { return hex.EncodeToString(sum[:]) }

// DigestString is the "sha256:…" form in which reports, receipts and the API name content.
func DigestString(sum [32]byte) string { return "sha256:" + hexDigest(sum) }

// Marshal is the receipt as it is written: indented JSON with a final newline.
func (r *Receipt) Marshal() ([]byte, error) {
	var b bytes.Buffer
	if err := json.MarshalWrite(&b, r, jsontext.WithIndent("  "), json.Deterministic(true)); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// maxReceipt bounds a receipt: 65,536 tensors with long names need about 20 MB.
const maxReceipt = 64 << 20

// ReadReceipt reads the receipt of a merged directory.
func ReadReceipt(dir string) (*Receipt, error) {
	path := filepath.Join(dir, ReceiptName)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.New(fault.IONotFound, "no directory to verify").In(dir).Wrap(err)
	}
	defer root.Close()
	text, err := readRegular(root, ReceiptName, maxReceipt)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.IONotFound, "there is no receipt").In(path).Fix("only a directory that `tenon merge` wrote can be verified")
	case err != nil:
		return nil, fault.New(fault.IORead, "the receipt cannot be read").In(path).Wrap(err)
	}
	return ParseReceipt(path, text)
}

// ParseReceipt parses the text of a receipt; path is what errors call it.
func ParseReceipt(path string, text []byte) (*Receipt, error) {
	r := new(Receipt)
	if err := json.Unmarshal(text, r, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.New(fault.ReceiptBad, "the receipt is malformed").In(path).Wrap(err).Fix("merge again")
	}
	if r.SchemaVersion != ReceiptSchema {
		return nil, fault.New(fault.ReceiptBad, "schema %q is not %q", r.SchemaVersion, ReceiptSchema).In(path).At("/schemaVersion").
			Fix("verify with the release of tenon that wrote it")
	}
	return r, nil
}

// readRegular reads a regular file of at most limit bytes. Opening a FIFO with O_NONBLOCK does not wait for its writer.
func readRegular(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, errors.New("not a regular file of a sane size")
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
