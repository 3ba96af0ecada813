package bank

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// Add writes an adapter's entry into a bank, which is made where there is none. An adapter that is there already, with the same features, is
// left as it is, and Add reports false. One whose features differ, because a module is newer, is replaced. A crash leaves the old entry or
// the new one.
func Add(dir string, e *Entry) (added bool, err error) {
	if err := e.check(e.Adapter.Ref).Err(); err != nil {
		return false, err
	}
	text, err := e.Marshal()
	if err != nil {
		return false, err
	}
	if len(text) > maxEntry {
		return false, fault.New(Invalid, "the entry would have %d bytes, and the limit is %d", len(text), maxEntry).In(e.Adapter.Ref).
			Fix("use a policy with fewer modules that remember something")
	}
	into := folder(dir, digestOf(e.Base.Digest))
	if err := os.MkdirAll(into, 0o755); err != nil {
		return false, durable.Fault(into, err)
	}
	base := strings.TrimPrefix(e.Base.Digest, "sha256:")
	name := strings.TrimPrefix(e.Adapter.Digest, "sha256:") + ".json"
	files, err := openDirectory(into, maxAdapters)
	if err != nil {
		return false, err
	}
	defer files.Close()
	if files.Has(name) {
		// An entry that cannot be read is replaced by one that can.
		if old, _, err := read(files, name, base); err == nil && old.sameFeatures(e) {
			return false, nil
		}
	} else if len(files.Entries) >= maxAdapters {
		return false, fault.New(Invalid, "the bank has %d adapters for this base, and no more can be", len(files.Entries)).In(into).
			Fix("remove one first")
	}
	if known, err := Open(dir, digestOf(e.Base.Digest)); err == nil && !files.Has(name) {
		if err := known.add(name, e); err != nil {
			return false, err
		}
		if err := known.tooLarge(); err != nil {
			return false, err.In(into).Fix("remove some adapters first: tenon bank remove")
		}
	}
	path := filepath.Join(into, name)
	if err := renameio.WriteFile(path, text, 0o644); err != nil { // synced, and in one step
		return false, durable.Fault(path, err)
	}
	return true, durable.SyncDir(into)
}

// Remove takes an adapter out of a bank, for every base that has it. digest is "sha256:…" or hexadecimal digits of it, at least eight of
// them, that no other adapter's digest begins with. It returns the adapter's digest.
func Remove(dir, digest string) (string, error) {
	prefix := strings.ToLower(strings.TrimPrefix(digest, "sha256:"))
	if len(prefix) < 8 || len(prefix) > 64 || strings.Trim(prefix, "0123456789abcdef") != "" {
		return "", fault.New(fault.UsageFlag, "%q is no digest of an adapter", shorten(digest)).
			Fix("give at least 8 digits of one that tenon bank list shows")
	}
	bases, err := Bases(dir)
	if err != nil {
		return "", err
	}
	var found string
	var paths []string
	for _, base := range bases {
		files, err := openDirectory(folder(dir, base), maxAdapters)
		if err != nil {
			return "", err
		}
		files.Close()
		for _, file := range files.Entries {
			if !fileName.MatchString(file) || !strings.HasPrefix(file, prefix) {
				continue
			}
			if found != "" && found != file {
				return "", fault.New(fault.UsageFlag, "%s are the first digits of several adapters", prefix).In(dir).Fix("give more of them")
			}
			found = file
			paths = append(paths, files.Name(file))
		}
	}
	if found == "" {
		return "", fault.New(fault.IONotFound, "the bank has no adapter %s", prefix).In(dir).Fix("see tenon bank list")
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			return "", durable.Fault(path, err)
		}
		if err := durable.SyncDir(filepath.Dir(path)); err != nil {
			return "", err
		}
	}
	return "sha256:" + strings.TrimSuffix(found, ".json"), nil
}
