package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

const (
	startTime  = 30 * time.Second // for a process to shake hands, or to end where it should
	refused    = 3 * time.Second  // for a connection that should not come about
	orphanTime = 15 * time.Second // for a backend to notice that its host is gone
)

// testByHand starts the backend as a person would who takes it for a command: it must say that it is none, and fail.
func testByHand(t T, host Host) {
	for _, c := range []struct {
		name string
		env  []string
	}{{"no cookie", nil}, {"wrong cookie", []string{backend.Handshake.MagicCookieKey + "=wrong"}}} {
		t.Run(c.name, func(t T) {
			ctx, cancel := context.WithTimeout(t.Context(), startTime)
			defer cancel()
			command := host.Command(ctx)
			command.Env = append(command.Env, c.env...)
			command.WaitDelay = time.Second
			var stdout, stderr bytes.Buffer
			command.Stdout, command.Stderr = &stdout, &stderr
			err := command.Run()
			switch {
			case ctx.Err() != nil:
				t.Errorf("it was still running after %v; without the cookie it must end", startTime)
			case command.ProcessState == nil:
				t.Fatalf("%v", err)
			case err == nil:
				t.Errorf("it ended with status 0, as if all were well")
			}
			if strings.Count(stdout.String(), "|") >= 3 {
				t.Errorf("it shook hands with somebody who is no host: %q", stdout.String())
			}
			if stdout.Len()+stderr.Len() == 0 {
				t.Errorf("it said nothing: a person must be told that tenon starts it")
			}
		})
	}
}

// byHand is a process that the suite itself shook hands with.
type byHand struct {
	command *exec.Cmd
	line    []string // of the handshake, cut at "|"; nil where it ended without one
	stdout  *os.File
	dir     string // for its socket
	ended   chan error
}

// shake starts a command for a host that speaks some versions, and reads its first line.
func shake(t T, command *exec.Cmd, identity *backend.Identity, versions string) *byHand {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tenon-conformance-*") // the path of a socket is short
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &byHand{command: command, dir: dir, ended: make(chan error, 1)}
	p.command.Env = append(p.command.Env, backend.Handshake.MagicCookieKey+"="+backend.Handshake.MagicCookieValue,
		"PLUGIN_MIN_PORT=0", "PLUGIN_MAX_PORT=0", "PLUGIN_PROTOCOL_VERSIONS="+versions, "PLUGIN_UNIX_SOCKET_DIR="+dir, identity.Env())
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatalf("%v", err)
	}
	p.command.Stdout, p.stdout = write, read
	err = p.command.Start()
	_ = write.Close()
	t.Cleanup(func() { _ = read.Close() })
	if err != nil {
		t.Fatalf("%v", err)
	}
	go func() { p.ended <- p.command.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) })
	_ = read.SetReadDeadline(time.Now().Add(startTime))
	scanner := bufio.NewScanner(read)
	if scanner.Scan() {
		p.line = strings.Split(strings.TrimSpace(scanner.Text()), "|")
	}
	return p
}

// testOrphan kills the process that started the backend, as a host that crashes. An orphan would keep its device's memory for ever.
func testOrphan(t T, host Host) {
	command := host.Command(context.WithoutCancel(t.Context()))
	if filepath.Base(command.Args[0]) != filepath.Base(command.Path) {
		t.Skipf("it is started under another name than its executable's, which a shell cannot do")
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skipf("%v", err)
	}
	command.Args = append([]string{"sh", "-c", `"$@" & wait`, "sh", command.Path}, command.Args[1:]...)
	command.Path = shell
	p := shake(t, command, newIdentity(t), "1")
	if p.line == nil {
		t.Fatalf("no handshake came")
	}
	if err := p.command.Process.Kill(); err != nil {
		t.Fatalf("%v", err)
	}
	_ = p.stdout.SetReadDeadline(time.Now().Add(orphanTime))
	if _, err := io.Copy(io.Discard, p.stdout); err != nil { // it ends when the last process that could write has ended
		t.Errorf("it is still there %v after its host", orphanTime)
	}
}

// testOtherVersion offers a version of the contract that does not exist yet. A backend may refuse that host, or name its own version and leave
// the refusal to the host.
func testOtherVersion(t T, host Host) {
	identity := newIdentity(t)
	p := shake(t, host.Command(context.WithoutCancel(t.Context())), identity, "99")
	if len(p.line) > 1 && p.line[1] != "1" {
		t.Errorf("the host speaks version 99, and the backend says that it speaks %q: %q", p.line[1], p.line)
	}
	if p.line != nil {
		return
	}
	select {
	case err := <-p.ended:
		if err == nil {
			t.Errorf("it ended with status 0, without a handshake")
		}
	case <-time.After(startTime):
		t.Errorf("it neither shook hands nor ended within %v", startTime)
	}
}

func newIdentity(t T) *backend.Identity {
	t.Helper()
	identity, err := backend.NewIdentity()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return identity
}

// testHandshake checks each part of the handshake, lets strangers knock at the socket, and asks the process to end.
func testHandshake(t T, host Host) {
	identity := newIdentity(t)
	p := shake(t, host.Command(context.WithoutCancel(t.Context())), identity, "1")
	if len(p.line) < 6 || p.line[0] != "1" || p.line[1] != "1" || p.line[2] != "unix" || p.line[4] != "grpc" {
		t.Fatalf("the first line on its standard output is %q, want 1|1|unix|PATH|grpc|CERTIFICATE", strings.Join(p.line, "|"))
	}
	path := p.line[3]
	if inside, err := filepath.Rel(p.dir, path); err != nil || strings.HasPrefix(inside, "..") {
		t.Errorf("its socket is %q, not inside PLUGIN_UNIX_SOCKET_DIR, %q, which nobody else can enter", path, p.dir)
	}
	der, err := base64.RawStdEncoding.DecodeString(p.line[5])
	if err != nil {
		t.Fatalf("its certificate is not base64 without padding: %v", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("its certificate: %v", err)
	}
	trusting := func(config *tls.Config) credentials.TransportCredentials {
		config.RootCAs.AddCert(certificate)
		return credentials.NewTLS(config)
	}
	nobody := newIdentity(t).TLS()
	nobody.Certificates = nil
	for _, c := range []struct {
		name      string
		transport credentials.TransportCredentials
	}{
		{"without TLS", insecure.NewCredentials()},
		{"without a certificate", trusting(nobody)},
		{"with another certificate", trusting(newIdentity(t).TLS())},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), refused)
		if d, err := backendpb.NewBackendClient(dial(t, path, c.transport)).Describe(ctx, &backendpb.DescribeRequest{}); err == nil {
			t.Errorf("a stranger %s was answered: %v", c.name, d)
		}
		cancel()
	}
	conn := dial(t, path, trusting(identity.TLS()))
	if d, err := backendpb.NewBackendClient(conn).Describe(t.Context(), &backendpb.DescribeRequest{}); err != nil || d.Name == "" {
		t.Fatalf("Describe: %v, %v", d, err)
	}
	health, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "plugin"})
	if err != nil || health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("the health of service \"plugin\" is %v, %v", health, err)
	}
	// The answer to this one may be cut off by the end it asks for.
	_ = conn.Invoke(t.Context(), "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	select {
	case <-p.ended:
	case <-time.After(startTime):
		t.Errorf("it was asked to end, by /plugin.GRPCController/Shutdown, and had not after %v", startTime)
	}
}

func dial(t T, path string, transport credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:localhost", append(backend.DialOptions(), grpc.WithTransportCredentials(transport),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}))...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
