package backend

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/telemetry"
	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// politeTime is how long a backend that is told to stop may take before it is killed.
const politeTime = 2 * time.Second

// process is one run of a backend.
type process struct {
	plugin  *plugin.Client
	runner  *processRunner
	output  *output
	sockets *socketDir
	ended   chan struct{} // closed when it has been reaped

	client backendpb.BackendClient
	conn   *grpc.ClientConn
}

// launch starts a process and shakes hands with it. On failure nothing is left of it, and the error says what it printed.
func (s *Supervisor) launch(ctx context.Context) (*process, error) {
	image, err := s.executable.open()
	if err != nil {
		return nil, fault.New(fault.BackendDown, "backend %q cannot be started", s.spec.Name).Wrap(err)
	}
	s.options.Log.Debug("backend starts", "backend", s.spec.Name, "path", s.spec.Command[0], "sha256", hex.EncodeToString(s.executable.digest))
	defer image.close()
	sockets, err := newSocketDir()
	if err != nil {
		return nil, fault.New(fault.BackendDown, "backend %q has no place for its socket", s.spec.Name).Wrap(err)
	}
	identity, err := backend.NewIdentity()
	if err != nil {
		sockets.remove()
		return nil, fault.New(fault.BackendDown, "there is no key to speak to backend %q with", s.spec.Name).Wrap(err)
	}
	p := &process{output: newOutput(s.options.Log, s.spec.Name), sockets: sockets, ended: make(chan struct{})}
	p.runner = newProcessRunner(s.spec, image.path)
	p.plugin = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  backend.Handshake,
		Plugins:          plugin.PluginSet{backend.PluginName: &backend.Plugin{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		TLSConfig:        identity.TLS(),
		SkipHostEnv:      true,
		StartTimeout:     s.options.StartTimeout,
		Logger:           p.output.logger(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: sockets.path},
		Stderr:           p.output,
		SyncStdout:       p.output,
		SyncStderr:       p.output,
		GRPCDialOptions:  slices.Concat(backend.DialOptions(), telemetry.DialOptions(), statusOptions(s.spec)),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			p.runner.cmd.Env = append(append(p.runner.cmd.Env, cmd.Env...), identity.Env())
			return p.runner, nil
		},
	})
	started := make(chan error, 1)
	go func() {
		// The kernel kills a child when the thread that started it ends, not its process. This thread ends after the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- p.connect(ctx, s.options.StartTimeout)
		<-p.ended
	}()
	timeout := time.NewTimer(s.options.StartTimeout)
	defer timeout.Stop()
	select {
	case err = <-started:
	case <-ctx.Done():
		p.runner.kill()
		<-started
		err = context.Cause(ctx)
	case <-timeout.C:
		p.runner.kill()
		<-started
		err = fmt.Errorf("no handshake within %v", s.options.StartTimeout)
	}
	if err == nil {
		return p, nil
	}
	p.end(0)
	if p.runner.cmd.Process == nil {
		return nil, fault.New(fault.BackendDown, "backend %q cannot be started", s.spec.Name).Wrap(err)
	}
	cause := fmt.Sprintf("backend %q did not shake hands: %s; the process %s", s.spec.Name, firstLine(err), p.runner.fate())
	if tail := p.output.tail(); tail != "" {
		cause += "; it printed: " + tail
	}
	return nil, fault.New(fault.BackendDown, "%s", cause).Fix("check that %s is a Tenon backend of this version", s.spec.Command[0])
}

// connect runs the handshake and makes the first call.
func (p *process) connect(ctx context.Context, timeout time.Duration) error {
	if _, err := p.plugin.Start(); err != nil {
		return err
	}
	protocol, err := p.plugin.Client()
	if err != nil {
		return err
	}
	raw, err := protocol.Dispense(backend.PluginName)
	if err != nil {
		return err
	}
	client := raw.(*backend.Client)
	p.client, p.conn = client.BackendClient, client.Conn
	return p.healthy(ctx, timeout)
}

// end ends the process and reaps it; it is called once. go-plugin's Kill asks the process first and waits for an answer without a limit, so the
// process is killed before that where it gets no polite time, and during it once that time is over.
func (p *process) end(polite time.Duration) {
	if polite <= 0 {
		p.runner.kill()
	}
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		p.plugin.Kill()
	}()
	timer := time.NewTimer(polite)
	defer timer.Stop()
	select {
	case <-reaped:
	case <-timer.C:
		p.runner.kill()
		<-reaped
	}
	p.sockets.remove()
	close(p.ended)
}

// environment is what of the host's environment a backend gets. Tokens and passwords are not in it.
func environment() []string {
	names := []string{"PATH", "HOME", "USER", "TMPDIR", "LANG", "TZ", "LD_LIBRARY_PATH",
		"GOMAXPROCS", "GOMEMLIMIT", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR"}
	prefixes := []string{"LC_", "OTEL_", "CUDA_", "NVIDIA_", "ROCR_", "HIP_", "OMP_"}
	var kept []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains(names, name) || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			kept = append(kept, entry)
		}
	}
	return kept
}

// firstLine is an error's first line, shortened and without control characters: parts of it are the process's own words.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	if said, ok := strings.CutPrefix(line, "Unrecognized remote plugin message:"); ok {
		if said = strings.TrimSpace(said); said == "" {
			return "nothing came on its standard output"
		}
		return "its first line was " + printable(said, 300)
	}
	return printable(line, 300)
}

// printable replaces what could confuse a terminal, and cuts after n bytes.
func printable(text string, n int) string {
	if len(text) > n {
		text = text[:n] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(text, "."))
}

var (
	_         runner.Runner = (*processRunner)(nil)
	_         io.Writer     = (*output)(nil)
	errKilled               = errors.New("killed before it was started")
)
