package server

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

// secretPrefix begins every secret, so that scanners of repositories and logs know one when they see it.
const secretPrefix = "tenon_"

// secretPattern is what a secret looks like: the prefix, and 256 bits in base64url.
var secretPattern = regexp.MustCompile(secretPrefix + `[A-Za-z0-9_-]{43}`)

// IsSecret reports whether text is written as the secret of an API key is.
func IsSecret(text string) bool { return secretPattern.FindString(text) == text && text != "" }

// hideSecrets replaces what is written as a secret, wherever somebody put it by mistake.
func hideSecrets(text string) string {
	if !strings.Contains(text, secretPrefix) {
		return text
	}
	return secretPattern.ReplaceAllLiteralString(text, secretPrefix+"[hidden]")
}

// defaultKeyRequests bounds the requests of one key that are in flight at once.
const defaultKeyRequests = 64

// Entry is one key of a keys file. The secret is not in it.
type Entry struct {
	Name     string    `yaml:"name"`
	Tenant   string    `yaml:"tenant,omitempty"` // "" is the operator
	Scopes   []Scope   `yaml:"scopes,flow"`
	Root     string    `yaml:"root,omitempty"`     // directory from which the key may load adapters; "" is anywhere
	Requests int       `yaml:"requests,omitempty"` // that may be in flight at once; 0 is 64
	Expires  time.Time `yaml:"expires,omitempty"`  // zero: never
	SHA256   string    `yaml:"sha256"`             // of the secret, in hexadecimal digits
	Created  time.Time `yaml:"created"`
}

// NewSecret returns a fresh secret and the digest that goes into its Entry.
func NewSecret() (secret, digest string) {
	var random [32]byte
	rand.Read(random[:]) // it cannot fail: the process ends first
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	sum := sha256.Sum256([]byte(secret))
	return secret, hex.EncodeToString(sum[:])
}

// key is an Entry that was found good.
type key struct {
	digest   [32]byte
	expires  time.Time
	who      Principal
	requests int64
	inFlight *atomic.Int64 // of the digest, whatever file it came from
}

// Keys are the API keys of a server. They can be exchanged while it runs.
type Keys struct {
	path string
	keys atomic.Pointer[[]*key]
}

// LoadKeys reads a keys file: YAML, or the same in JSON. A file that everybody may read, or that others than its owner may write, is refused.
func LoadKeys(path string) (*Keys, error) {
	k := &Keys{path: path}
	if err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the file again. Keys that are no longer in it stop working at once; after an error nothing has changed.
func (k *Keys) Reload() error {
	entries, err := readKeysFile(k.path)
	if err != nil {
		return err
	}
	keys, err := makeKeys(k.path, entries)
	if err != nil {
		return err
	}
	if old := k.keys.Load(); old != nil {
		for _, fresh := range keys {
			for _, was := range *old {
				if was.digest == fresh.digest {
					fresh.inFlight = was.inFlight // requests in flight count on
				}
			}
		}
	}
	k.keys.Store(&keys)
	return nil
}

// find returns the key of a secret, nil where there is none. The work is the same whichever key matches, and whether any does: the secret is
// hashed, and the hash is compared with every key's, each in constant time.
func (k *Keys) find(secret string, now time.Time) *key {
	sum := sha256.Sum256([]byte(secret))
	keys := *k.keys.Load()
	at := -1
	for i := range keys {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], keys[i].digest[:]), i, at)
	}
	if at < 0 || keys[at].expired(now) {
		return nil
	}
	return keys[at]
}

// Authenticate returns who has a secret. It is for what cannot send a header; requests are authenticated by the server.
func (k *Keys) Authenticate(secret string) (Principal, bool) {
	found := k.find(secret, time.Now())
	if found == nil {
		return Principal{}, false
	}
	return found.who, true
}

// Open lists the names of the tenants' keys that may load from anywhere on this machine.
func (k *Keys) Open() []string {
	var names []string
	for _, key := range *k.keys.Load() {
		if key.who.Tenant != "" && key.who.root == "" && key.who.May(ScopeLoad) {
			names = append(names, key.who.Name)
		}
	}
	return names
}

// holds reports whether the key with this digest is still good.
func (k *Keys) holds(digest [32]byte, now time.Time) bool {
	for _, key := range *k.keys.Load() {
		if bytes.Equal(key.digest[:], digest[:]) { // no secret: the caller was let in with it
			return !key.expired(now)
		}
	}
	return false
}

func (k *key) expired(now time.Time) bool { return !k.expires.IsZero() && !now.Before(k.expires) }

// enter counts a request of the key; leave must be called when it ends. It reports false, and counts nothing, when there are too many.
func (k *key) enter() (leave func(), ok bool) {
	if k.inFlight.Add(1) > k.requests {
		k.inFlight.Add(-1)
		return nil, false
	}
	return func() { k.inFlight.Add(-1) }, true
}

// tooMany is the answer to a request beyond a bound.
func tooMany(message string, args ...any) error {
	return &apiError{status: http.StatusTooManyRequests, code: fault.ServerDown, retry: true, message: fmt.Sprintf(message, args...)}
}
