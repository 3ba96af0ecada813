package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// plainToTLS is what Go's TLS servers answer, with status 400, to a request without TLS.
const plainToTLS = "HTTP request to an HTTPS server"

// understood tells a TLS server that was asked without TLS from one that refuses a request: its answer is no error of the API.
func (c *client) understood(response *http.Response) (*http.Response, error) {
	if response.StatusCode != http.StatusBadRequest || !strings.HasPrefix(c.url, "http://") {
		return response, nil
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	response.Body.Close()
	switch {
	case bytes.Contains(text, []byte(plainToTLS)):
		return nil, c.speaksTLS()
	case err != nil:
		return nil, fault.New(fault.ServerDown, "the answer of %s broke off", c.url).Wrap(err)
	}
	response.Body = io.NopCloser(bytes.NewReader(text))
	return response, nil
}

// speaksTLS is the error of asking a TLS server without TLS.
func (c *client) speaksTLS() *fault.Error {
	return fault.New(fault.ServerDown, "the server at %s speaks https", c.url).
		Fix("ask with --server https://%s, or TENON_SERVER in the environment", strings.TrimPrefix(c.url, "http://"))
}

// unreachable is the error of a request that got no answer: nobody is there, or it is not the one who was meant.
func (c *client) unreachable(err error) *fault.Error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // the rest of it is in the message already
	}
	var (
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		verified *tls.CertificateVerificationError
		alert    tls.AlertError
		record   tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return fault.New(fault.ServerDown, "the server at %s does not speak https", c.url).Wrap(err).
			Fix("ask with --server http://%s, or TENON_SERVER in the environment", strings.TrimPrefix(c.url, "https://"))
	case errors.As(err, &unknown):
		return fault.New(fault.ServerDown, "the certificate of %s is signed by nobody who is trusted here", c.url).Wrap(unknown).
			Fix("give the file of the certificate that signed it with --ca, or TENON_CA in the environment")
	case errors.As(err, &host):
		return fault.New(fault.ServerDown, "the certificate of %s is another host's", c.url).Wrap(host).
			Fix("name the server in --server as its certificate does, or give the server a certificate with this name")
	case errors.As(err, &invalid):
		return fault.New(fault.ServerDown, "the certificate of %s is not valid", c.url).Wrap(invalid).
			Fix("give the server another one, and its signer's to --ca or TENON_CA where the system does not trust it")
	case errors.As(err, &verified), errors.As(err, &alert):
		return fault.New(fault.ServerDown, "there is no TLS connection to %s", c.url).Wrap(err).
			Fix("look at the server's certificate, and at --ca or TENON_CA")
	}
	return fault.New(fault.ServerDown, "no server answers at %s", c.url).Wrap(err).Fix("start one: tenon serve")
}

// remedied adds what can be done here about an error of the server, where that is known.
func (c *client) remedied(e *fault.Error) *fault.Error {
	if e.Code == fault.UsageKey && e.Remedy == "" && c != nil && c.secret == "" {
		return e.Fix("give the file of an API key with --key, or the secret itself in TENON_KEY in the environment")
	}
	return e
}
