package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate makes a self-signed certificate for 127.0.0.1 with this serial number.
func writeCertificate(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "tenon"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path+".new", pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestTLS: the server speaks TLS 1.2 and 1.3 and nothing older or plainer, takes a new certificate while it runs, and keeps the one it has when
// the new one cannot be used.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := writeCertificate(t, dir, 1)
	var log bytes.Buffer
	certificate, err := LoadCertificate(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s := New(newFake(t), Options{Log: slog.New(slog.DiscardHandler), BaseName: "tiny", Addr: "127.0.0.1:8321", Certificate: certificate})
	url, served := listen(t, s)
	address := strings.TrimPrefix(url, "http://")
	serial := func(most uint16) int64 {
		t.Helper()
		pool := x509.NewCertPool()
		text, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		trusted := pool.AppendCertsFromPEM(text)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MaxVersion: most, InsecureSkipVerify: !trusted}, DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: transport}).Get("https://" + address + "/livez")
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if got13, got12, got11 := serial(tls.VersionTLS13), serial(tls.VersionTLS12), serial(tls.VersionTLS11); got13 != 1 || got12 != 1 || got11 != 0 {
		t.Errorf("TLS 1.3, 1.2 and 1.1 give %d, %d and %d", got13, got12, got11)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url + "/v1/models")
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("plain HTTP gets %d", resp.StatusCode)
		}
	}
	writeCertificate(t, dir, 2)
	if got := serial(tls.VersionTLS13); got != 2 {
		t.Errorf("after the change: %d", got)
	}
	if err := os.WriteFile(cert, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := serial(tls.VersionTLS13); got != 2 {
			t.Errorf("after a change to nothing: %d", got)
		}
	}
	if n := strings.Count(log.String(), "cannot be used"); n != 1 {
		t.Errorf("the log says it %d times: %s", n, &log)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
	cert, key = writeCertificate(t, dir, 3)
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCertificate(cert, key, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "0644") {
		t.Errorf("a key that everybody may read: %v", err)
	}
	if _, err := LoadCertificate(key, cert, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a key is taken for a certificate")
	}
}
