// Package host is the flow of Tenon, for a program to embed: open an adapter, check it against a base, gate it, stage its generation in a
// backend, make it live, roll it back.
//
//	reference ─open─▶ Adapter ─check─▶ Report ─gate─▶ Verdict ─stage─▶ Generation ─activate─▶ live
//
// Check stops after the verdict, Merge writes the generation to disk, Serve keeps it resident. There is one implementation of each step.
//
// A program that embeds this package must let its own executable be re-executed as a sandbox worker and as the CPU backend: see
// cmd/tenon/main.go, which is ten lines.
package host

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// Options configure a Host. The zero value works.
type Options struct {
	CacheDir string       // for what can be computed again; "" is tenon in the user's cache directory
	Policy   *gate.Policy // nil is the default policy
	Modules  []modules.Module
	Runner   gate.Runner // runs diagnostics; nil runs each in a sandbox worker of this executable
	Log      *slog.Logger
}

// Host runs the flow. It is safe for concurrent use.
type Host struct {
	gate     *gate.Gate
	cacheDir string
	log      *slog.Logger
}

// New prepares a Host. It touches no adapter and starts no process.
func New(o Options) (*Host, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Policy == nil {
		o.Policy = gate.DefaultPolicy()
	}
	if o.CacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fault.New(fault.UsageFlag, "there is no cache directory").Wrap(err).Fix("set TENON_CACHE_DIR")
		}
		o.CacheDir = filepath.Join(dir, "tenon")
	}
	if err := os.MkdirAll(o.CacheDir, 0o700); err != nil {
		return nil, fault.New(fault.IOWrite, "the cache directory cannot be made").In(o.CacheDir).Wrap(err).Fix("set TENON_CACHE_DIR to a directory you own")
	}
	if o.Modules == nil {
		builtin, err := modules.Builtin()
		if err != nil {
			return nil, err
		}
		o.Modules = builtin
	}
	if o.Runner == nil {
		o.Runner = &worker.Runner{CacheDir: filepath.Join(o.CacheDir, "wasm")}
	}
	return &Host{
		gate:     &gate.Gate{Policy: o.Policy, Modules: o.Modules, Runner: o.Runner, Parallel: runtime.GOMAXPROCS(0), CacheDir: o.CacheDir},
		cacheDir: o.CacheDir,
		log:      o.Log,
	}, nil
}

// Checked is an adapter after the gate. Its binding and everything it borrows stay open until Close.
type Checked struct {
	Report  *report.Report
	Binding *adapter.Binding // nil when the adapter could not be bound to the base
	closers []io.Closer
}

// Close releases the adapter and its peers. The base is the caller's.
func (c *Checked) Close() error {
	var errs []error
	for _, closer := range c.closers {
		errs = append(errs, closer.Close())
	}
	c.closers = nil
	return errors.Join(errs...)
}

// Check opens an adapter, binds it to the base, runs the policy's diagnostics and decides. with are references of adapters to compare it
// with. An adapter that is refused, for whatever reason, is an answer: it gives a report and no error. An error means that the question
// could not be answered. The caller closes the result.
func (h *Host) Check(ctx context.Context, b *base.Base, ref string, with []string) (*Checked, error) {
	checked := &Checked{}
	binding, err := h.bind(b, ref, checked)
	if err != nil {
		return nil, errors.Join(err, checked.Close())
	}
	if binding == nil {
		return checked, nil
	}
	peers := make([]*adapter.Binding, 0, len(with))
	for _, peerRef := range with {
		peer, err := adapter.Load(peerRef, b)
		if peer != nil && peer.Adapter != nil {
			checked.closers = append(checked.closers, peer.Adapter)
		}
		if err != nil {
			err = fault.New(fault.UsageFlag, "the adapter cannot be compared with").In(peerRef).Wrap(err).Fix("check it alone first: tenon check %s", peerRef)
			return nil, errors.Join(err, checked.Close())
		}
		peers = append(peers, peer)
	}
	checked.Report, err = h.gate.Check(ctx, gate.Subject{Binding: binding, Peers: peers})
	if err != nil {
		return nil, errors.Join(err, checked.Close())
	}
	return checked, nil
}

// bind opens and binds. It returns nil and no error when the adapter is refused; the report is then in checked.
func (h *Host) bind(b *base.Base, ref string, checked *Checked) (*adapter.Binding, error) {
	binding, err := adapter.Load(ref, b)
	if binding != nil && binding.Adapter != nil {
		checked.closers = append(checked.closers, binding.Adapter)
	}
	if err != nil {
		if fault.ClassOf(err) != fault.Rejected {
			return nil, err
		}
		checked.Report = h.gate.Refused(ref, b, binding, err)
		return nil, nil
	}
	checked.Binding = binding
	return binding, nil
}
