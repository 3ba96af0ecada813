package server

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
)

// maxPEM bounds a certificate's and a key's file.
const maxPEM = 1 << 20

// Certificate is a server's certificate and private key, which are read again when their files change.
type Certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	seen    [2]os.FileInfo // of current, or of the last attempt
}

// LoadCertificate reads the PEM files of a certificate chain and of its private key. A key that everybody may read is refused.
func LoadCertificate(cert, key string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key, log: log}
	c.seen = c.stat()
	var err error
	c.current, err = c.read()
	return c, err
}

func (c *Certificate) read() (*tls.Certificate, error) {
	chain, err := os.ReadFile(c.cert)
	if err != nil {
		return nil, fault.New(fault.IORead, "the certificate cannot be read").In(c.cert).Wrap(err)
	}
	key, err := readPrivate(c.key, maxPEM)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fault.New(fault.UsageFlag, "the certificate and the key %s are no pair", c.key).In(c.cert).Wrap(err)
	}
	return &pair, nil
}

// stat is what both files are now; nil for one that is not there.
func (c *Certificate) stat() (seen [2]os.FileInfo) {
	for i, path := range []string{c.cert, c.key} {
		if info, err := os.Stat(path); err == nil {
			seen[i] = info
		}
	}
	return seen
}

// get returns the certificate for a handshake. When the files have changed and cannot be used, the one before goes on, and the log says so once
// for each change: between the writing of two files they are no pair for a moment.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.stat()
	if same(now[0], c.seen[0]) && same(now[1], c.seen[1]) {
		return c.current, nil
	}
	c.seen = now
	fresh, err := c.read()
	if err != nil {
		c.log.Warn("the new certificate cannot be used: the one before goes on", "cause", plain(err.Error()))
		return c.current, nil
	}
	c.current = fresh
	c.log.Info("the certificate was read again")
	return c.current, nil
}

// same reports whether a file is the one it was.
func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// Config is the configuration of a listener: TLS 1.2 at least, where clients that can speak 1.3.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}
