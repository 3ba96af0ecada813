package server

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/fault"
)

// Bounds of a keys file.
const (
	maxKeysFile = 1 << 20
	maxKeys     = 4096
	maxRequests = 4096
)

// keysFile is the whole file.
type keysFile struct {
	Keys []Entry `yaml:"keys"`
}

// readKeysFile reads and parses a file that its owner alone can change.
func readKeysFile(path string) ([]Entry, error) {
	data, err := readPrivate(path, maxKeysFile)
	if err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	var file keysFile
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		// The parser's message may quote the file, and with it a secret that somebody put there.
		return nil, fault.New(fault.UsageKey, "it is not a keys file: %s", hideSecrets(err.Error())).In(path).Fix("see docs/serve.md")
	}
	if decoder.Decode(new(keysFile)) == nil {
		return nil, fault.New(fault.UsageKey, "there is more than one document in it").In(path)
	}
	return file.Keys, nil
}

// readPrivate reads a regular file that not everybody may read, and that only its owner may write.
func readPrivate(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: to open a FIFO waits
	if err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(fault.IOFileType, "it is not a regular file").In(path)
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.IONotFound, "no such file").In(path)
	case err != nil:
		return nil, fault.New(fault.IORead, "the file cannot be read").In(path).Wrap(err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, fault.New(fault.IORead, "the file cannot be read").In(path).Wrap(err)
	}
	if open := info.Mode().Perm() & 0o026; open != 0 {
		return nil, fault.New(fault.UsageKey, "its mode %04o lets others read or change it", info.Mode().Perm()).In(path).Fix("chmod 600 %s", path)
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fault.New(fault.IORead, "the file cannot be read").In(path).Wrap(err)
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.UsageKey, "it is longer than %d bytes", limit).In(path)
	}
	return data, nil
}

// makeKeys checks entries, and reports all that is wrong with them in one go.
func makeKeys(path string, entries []Entry) ([]*key, error) {
	var wrong fault.List
	refuse := func(i int, field, cause string, args ...any) {
		wrong.Add(fault.New(fault.UsageKey, "%s", hideSecrets(fmt.Sprintf(cause, args...))).In(path).At(fmt.Sprintf("/keys/%d%s", i, field)))
	}
	if len(entries) == 0 {
		return nil, fault.New(fault.UsageKey, "there is no key in it: nobody could do anything").In(path).Fix("make one: tenon key new")
	}
	if len(entries) > maxKeys {
		return nil, fault.New(fault.UsageKey, "there are %d keys in it, and %d are the most", len(entries), maxKeys).In(path)
	}
	names, digests := map[string]bool{}, map[[32]byte]bool{}
	var keys []*key
	for i, e := range entries {
		k := &key{expires: e.Expires, inFlight: new(atomic.Int64), requests: int64(e.Requests)}
		if err := CheckEntry(e); err != nil {
			refuse(i, "", "%v", err)
		}
		scopes := e.Scopes
		k.who = Principal{Name: e.Name, Tenant: e.Tenant, scopes: scopes, root: e.Root, key: k}
		if k.requests == 0 {
			k.requests = defaultKeyRequests
		}
		if digest, err := hex.DecodeString(e.SHA256); err != nil || len(digest) != len(k.digest) {
			refuse(i, "/sha256", "it is not a digest of 64 hexadecimal digits")
		} else {
			copy(k.digest[:], digest)
			if digests[k.digest] {
				refuse(i, "/sha256", "another key has the same digest")
			}
			digests[k.digest] = true
		}
		if names[e.Name] {
			refuse(i, "/name", "another key has the name %s", escape(e.Name))
		}
		names[e.Name] = true
		keys = append(keys, k)
	}
	return keys, wrong.Err()
}

// CheckEntry says what is wrong with an entry, but for its digest. Errors are one fault.UsageKey.
func CheckEntry(e Entry) error {
	names := make([]string, len(e.Scopes))
	for i, scope := range e.Scopes {
		names[i] = string(scope)
	}
	if _, err := ParseScopes(names); err != nil {
		return err
	}
	switch {
	case !aliasGrammar.MatchString(e.Name):
		return fault.New(fault.UsageKey, "%s is not a name for a key", escape(e.Name)).Fix("use 1 to 128 letters, digits, dots, underscores and dashes")
	case IsSecret(e.Name) || IsSecret(e.Tenant):
		return fault.New(fault.UsageKey, "a secret is in the place of a name")
	case e.Name == "operator" || e.Name == "watch":
		return fault.New(fault.UsageKey, "%q is what the server calls itself", e.Name).Fix("choose another name")
	case e.Tenant != "" && !aliasGrammar.MatchString(e.Tenant):
		return fault.New(fault.UsageKey, "%s is not a name for a tenant", escape(e.Tenant)).Fix("use 1 to 128 letters, digits, dots, underscores and dashes")
	case e.Tenant != "" && Principal{scopes: e.Scopes}.May(ScopeAdmin):
		return fault.New(fault.UsageKey, "a tenant's key cannot be admin, which is everything of every tenant").Fix("leave the tenant out, or give it read, load and activate")
	case e.Requests < 0 || e.Requests > maxRequests:
		return fault.New(fault.UsageKey, "%d requests in flight are not from 1 to %d", e.Requests, maxRequests)
	case e.Root != "" && !filepath.IsAbs(e.Root):
		return fault.New(fault.UsageKey, "the root %s is not an absolute path", escape(e.Root))
	}
	return nil
}
