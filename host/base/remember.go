package base

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// Hashing the weights is most of the time of opening a large base, and the same base is opened for every adapter. So the digest of a shard
// is remembered together with everything the system says about the file: which it is, its size, and when its content and its inode last
// changed. A program can set the first of these times back but not the second. A
// merge to disk trusts it too, for it names the base in the receipt, and asks again when the last byte was read; a backend that keeps the base
// resident hashes what it loads.

// rememberBytes is the size from which a file's digest is remembered: below it hashing takes no time.
const rememberBytes = 64 << 20

// settled is how long before hashing a file must have changed last. Clocks of file systems tick slowly: a file that is written to within
// the same tick does not look changed.
const settled = 2 * time.Second

// memory keeps digests of files in a directory of its own; "" remembers nothing.
type memory struct{ dir string }

func newMemory(cacheDir string) memory {
	if cacheDir == "" {
		return memory{}
	}
	return memory{filepath.Join(cacheDir, "base-digests")}
}

// entry is the file of the memory for a file, and the line it must begin with; false where the file is not to be remembered.
func (m memory) entry(path string, info fs.FileInfo) (entry, stamp string, ok bool) {
	if m.dir == "" || info.Size() < rememberBytes {
		return "", "", false
	}
	identity, changed, ok := identityOf(info)
	if !ok || time.Since(changed) < settled || time.Since(info.ModTime()) < settled {
		return "", "", false
	}
	name := sha256.Sum256([]byte(path))
	stamp = fmt.Sprintf("tenon.base-digest/v1 %s size=%d modified=%d changed=%d", identity, info.Size(), info.ModTime().UnixNano(), changed.UnixNano())
	return filepath.Join(m.dir, hex.EncodeToString(name[:])), stamp, true
}

// recall gives the digest of a file that has not changed since it was remembered.
func (m memory) recall(path string, info fs.FileInfo) (sum [32]byte, ok bool) {
	entry, stamp, ok := m.entry(path, info)
	if !ok {
		return sum, false
	}
	text, err := os.ReadFile(entry)
	if err != nil {
		return sum, false
	}
	digits, ours := strings.CutPrefix(string(text), stamp+"\n")
	raw, err := hex.DecodeString(strings.TrimSuffix(digits, "\n"))
	if !ours || err != nil || len(raw) != len(sum) {
		return sum, false
	}
	return [32]byte(raw), true
}

// remember keeps a digest. A memory that cannot be written is done without.
func (m memory) remember(path string, info fs.FileInfo, sum [32]byte) {
	entry, stamp, ok := m.entry(path, info)
	if !ok || os.MkdirAll(m.dir, 0o700) != nil {
		return
	}
	_ = renameio.WriteFile(entry, fmt.Appendf(nil, "%s\n%x\n", stamp, sum), 0o600)
}
