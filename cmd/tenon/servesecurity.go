package main

import (
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/server"
)

// serveSecurity is who may use a server, and over what.
type serveSecurity struct {
	keys, cert, key     string
	plaintext, scraping bool
}

func (s *serveSecurity) flags(flags *pflag.FlagSet) {
	flags.StringVar(&s.keys, "keys", "", "`FILE` of API keys; see tenon key new. Without it whoever reaches the server may do everything, so it listens on loopback only")
	flags.StringVar(&s.cert, "tls-cert", "", "`FILE` with the certificate chain, in PEM; read again when it changes")
	flags.StringVar(&s.key, "tls-key", "", "`FILE` with the certificate's private key, in PEM")
	flags.BoolVar(&s.plaintext, "insecure-plaintext", false, "with --keys: listen on any address without TLS, because something in front of the server ends it; keys and texts can be read on the way")
	flags.BoolVar(&s.scraping, "metrics-open", false, "with --keys: GET /metrics needs no key; it names every tenant's adapters")
}

// scheme is how a URL of the server begins.
func (s *serveSecurity) scheme() string {
	if s.cert != "" {
		return "https://"
	}
	return "http://"
}

// check refuses what would offer a server to a network that has no keys, or keys that anybody on the way can read. try is the prompt of --try.
func (s *serveSecurity) check(listen, try string) error {
	name, port, err := net.SplitHostPort(listen)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		example := defaultListen
		if _, isPort := strconv.ParseUint(listen, 10, 16); isPort == nil {
			example = net.JoinHostPort("127.0.0.1", listen)
		}
		return fault.New(fault.UsageFlag, "--listen %q is not HOST:PORT", listen).Wrap(err).Fix("for instance --listen %s", example)
	}
	ip := net.ParseIP(name)
	loopback := strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
	switch {
	case (s.cert == "") != (s.key == ""):
		return fault.New(fault.UsageFlag, "--tls-cert and --tls-key are a pair").Fix("give both")
	case s.keys == "" && (s.plaintext || s.scraping):
		return fault.New(fault.UsageFlag, "--insecure-plaintext and --metrics-open are about a server with --keys")
	case s.keys == "" && !loopback:
		return fault.New(fault.UsageFlag, "--listen %q is not a loopback address, and without --keys whoever reaches the server may do everything", listen).
			Fix("make a key (tenon key new) and give --keys, --tls-cert and --tls-key; or listen on 127.0.0.1")
	case s.keys != "" && s.cert == "" && !loopback && !s.plaintext:
		return fault.New(fault.UsageFlag, "--listen %q is not a loopback address, and without TLS everybody on the way can read the API keys", listen).
			Fix("give --tls-cert and --tls-key; or, where a proxy in front ends TLS, --insecure-plaintext")
	case try != "" && (s.keys != "" || s.cert != ""):
		return fault.New(fault.UsageFlag, "--try asks as somebody without a key and without TLS would").Fix("try without --keys and --tls-cert")
	}
	return nil
}

// apply loads the keys and the certificate into a server's options.
func (s *serveSecurity) apply(options *server.Options, log *slog.Logger) (err error) {
	options.MetricsOpen = s.scraping
	if s.keys != "" {
		var keysErr error
		if options.Keys, keysErr = server.LoadKeys(s.keys); keysErr != nil {
			err = remedyMissing(keysErr, "make a key (tenon key new) and append its entry under keys: of a file of mode 600")
		} else if names := options.Keys.Open(); len(names) > 0 {
			log.Warn("keys of tenants may load adapters from anywhere on this machine: give them a root", "keys", strings.Join(names, ", "))
		}
	}
	if s.cert != "" {
		var certErr error
		options.Certificate, certErr = server.LoadCertificate(s.cert, s.key, log)
		err = errors.Join(err, certErr)
	}
	return err
}

// remedyMissing says what to do about a file of the command line that is not there. What the system says of it is not said a second time.
func remedyMissing(err error, remedy string) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Code == fault.IONotFound && e.Remedy == "" {
		missing := *e
		missing.Err = nil
		return missing.Fix("%s", remedy)
	}
	return err
}
