package backend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// Identity is who the host is to one process: a key of its own, and a certificate that only this process is told of. go-plugin can make one, but
// on the curve P-521, which BoringSSL does not verify with, and so no backend over gRPC's C core (Python, C++, Ruby) would ever be spoken to.
type Identity struct {
	certificate tls.Certificate
	encoded     []byte
}

// NewIdentity makes one.
func NewIdentity() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "localhost", Organization: []string{"Tenon"}},
		DNSNames:              []string{"localhost"},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().AddDate(30, 0, 0), // a server runs for months, and the key ends with its process
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &Identity{
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		encoded:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}, nil
}

// Env is what tells the process whom to trust: "PLUGIN_CLIENT_CERT=" and the certificate in PEM.
func (i *Identity) Env() string { return "PLUGIN_CLIENT_CERT=" + string(i.encoded) }

// TLS is the host's side of the connection. It trusts nobody until RootCAs holds the certificate that the process names in its handshake, which
// go-plugin does; a process that names none is not spoken to.
func (i *Identity) TLS() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{i.certificate}, RootCAs: x509.NewCertPool(), ServerName: "localhost", MinVersion: tls.VersionTLS12,
	}
}
