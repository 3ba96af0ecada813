package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/server"
)

// maxKeyFile bounds what is read for a secret.
const maxKeyFile = 4096

// remoteCommand is the annotation of a client command.
const remoteCommand = "remote"

// remote is a client command: the flags that name the server and say who asks, and a body.
func remote(cmd *cobra.Command, body func(context.Context, *client, []string) error) *cobra.Command {
	var address, key, ca string
	cmd.Annotations = map[string]string{remoteCommand: ""}
	flags := cmd.Flags()
	flags.StringVar(&address, "server", "http://"+defaultListen, "`URL` of the running server; or TENON_SERVER")
	flags.StringVar(&key, "key", "", "`FILE` with the secret of the API key; or the environment's TENON_KEY holds it. Never the secret itself: the list of processes and the shell's history show it")
	flags.StringVar(&ca, "ca", "", "`FILE` of certificates in PEM that the server's is held against, instead of the system's; or TENON_CA")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(address)
		if err != nil {
			return err
		}
		if c.secret, err = readSecret(key, os.Getenv("TENON_KEY")); err != nil {
			return err
		}
		if ca != "" {
			if err := c.trust(ca); err != nil {
				return err
			}
		}
		return body(cmd.Context(), c, args)
	}
	return cmd
}

// readSecret gives the secret that --key names. The value is a file, but for one that comes from the environment, which is no command line.
func readSecret(value, environment string) (string, error) {
	if value == "" {
		return "", nil
	}
	if server.IsSecret(value) {
		if value != environment {
			return "", fault.New(fault.UsageKey, "--key is a file, and this is the secret itself, which the list of processes and the shell's history now show").
				Fix("put it into the environment as TENON_KEY, or into a file; and make a new key")
		}
		return value, nil
	}
	file, err := os.ReadFile(value)
	if err != nil {
		return "", fault.New(fault.IORead, "the API key cannot be read").In(value).Wrap(err).Fix("--key is a file that holds the secret")
	}
	secret := strings.TrimSpace(string(file[:min(len(file), maxKeyFile)]))
	if !server.IsSecret(secret) {
		return "", fault.New(fault.UsageKey, "it does not hold the secret of an API key").In(value).Fix("the secret begins with tenon_; see tenon key new")
	}
	return secret, nil
}

// trust holds the server's certificate against those of a file.
func (c *client) trust(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fault.New(fault.IORead, "the certificates cannot be read").In(path).Wrap(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return fault.New(fault.UsageFlag, "there is no certificate in it").In(path).Fix("--ca is a file in PEM")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	c.http.Transport = transport
	return nil
}

// adapterPath is the path of an adapter of the API. A tenant's, as an admin calls it, has a slash in its name.
func adapterPath(name, more string) string {
	return "/api/v1/adapters/" + url.PathEscape(name) + more
}
