// Package backend is all that a third party needs to write a Tenon backend: a process that holds a base's weights on one device, merges
// adapters into generations, and generates text from them.
//
// The contract is backendpb.BackendServer; its comments in backend.proto are normative. A backend's main is
//
//	func main() { backend.Serve(mydevice.New()) }
//
// and package conformance is the suite it must pass, which backendtest runs from a Go test and tenon backend test from the command line. The host
// starts the process, speaks gRPC to it over a private socket with mutual TLS, watches it, and kills and restarts it when it dies or stops
// answering; whatever it then needs to know it is told again.
//
// # Levels
//
// A backend does one, two or three things, each as a whole: Merging merges into files, Staging merges into memory, Generating generates text from
// what is staged. At least one of the first two must be there. What is not is answered with Unimplemented, which embedding
// backendpb.UnimplementedBackendServer does; Levels asks a backend which of them it does.
//
// # Forms
//
// Every backend merges patches of two factors of a matrix. Describe names what it computes besides, and is sent nothing else: "reshaped" patches
// weights of other than two dimensions, "blocks" have factors for each block of rows, a "dense" delta stands in place of factors, a "start" in place
// of the base's entries, and a "magnitude" scales each output, or input, to a length of its own. A patch may be of several forms. Probe and
// SquareOrder give the order of sums to the bit. A patch of parts that do not go together is InvalidArgument: both factors and a dense delta, one
// factor, nothing at all or only magnitudes, blocks without factors, start_rows without a start, out of range or twice, magnitude_of_inputs with
// fan_in_fan_out. A NaN of the start stays that NaN, made quiet and without the lower bits of a payload that its dtype has no room for. An entry counts
// as changed where it differs from the base's, and as not finite where the start is finite as it is stored.
//
// # Without Go
//
// A backend in another language does what Serve does. It ends with a status other than 0, and says why, unless its environment has
// TENON_BACKEND=tenon.backend.v1 and a 1 among the comma-separated PLUGIN_PROTOCOL_VERSIONS. It listens on a Unix socket in the directory
// PLUGIN_UNIX_SOCKET_DIR, with a TLS certificate of its own for "localhost" and with PLUGIN_CLIENT_CERT (PEM) as the only client it lets in. Then
// it prints one line on its standard output, where the certificate is DER in base64 without padding,
//
//	1|1|unix|/path/of/the/socket|grpc|CERTIFICATE
//
// and prints nothing more there; its standard error is logged. Beside Backend it serves grpc.health.v1.Health/Check for the service "plugin", and
// plugin.GRPCController/Shutdown, with empty messages, upon which it ends. It also ends when its parent process changes: its host is gone.
// examples/backend/python does all of this in a hundred lines.
//
// # Status codes
//
// A host decides by the gRPC code alone; the message is for people.
//
//	InvalidArgument     the request cannot be right: an unknown dtype, a shape that does not fit, a token outside the vocabulary, a magnitude for an
//	                    output of no length
//	NotFound            a generation, an alias or a file that does not exist
//	FailedPrecondition  right, but not now: no base, another base, a generation an alias points to, a sequence that is too old
//	OutOfRange          more than fits: a text longer than the model's positions, a merged entry that overflows its dtype
//	DataLoss            a file's bytes are not those its digest names
//	ResourceExhausted   not enough memory or disk, with the numbers
//	Unimplemented       what this backend does not do, by name
//	Unavailable         the process died; only the transport answers this
package backend

import (
	"context"
	"os"
	"slices"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// PluginName is the one plugin a backend serves.
const PluginName = "backend"

// MaxMessageBytes bounds one gRPC message in either direction. The largest are tensor tables of bases with tens of thousands of tensors and the
// probe products of Verify: 8 bytes for each row of each merged tensor, some 20 MB for all linears of a 70B model.
const MaxMessageBytes = 256 << 20

// Handshake is what host and backend must agree on before they speak. The cookie is no secret: it tells a person who runs a backend by hand that
// it is not a command.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  1,
	MagicCookieKey:   "TENON_BACKEND",
	MagicCookieValue: "tenon.backend.v1",
}

// Plugin carries the contract over go-plugin. Impl is needed on the backend's side only.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	Impl backendpb.BackendServer
}

var (
	_ plugin.Plugin     = (*Plugin)(nil)
	_ plugin.GRPCPlugin = (*Plugin)(nil)
)

// Client is what Dispense returns on the host's side.
type Client struct {
	backendpb.BackendClient
	Conn   *grpc.ClientConn
	Exited <-chan struct{} // closed once the process has ended and been waited for
}

// GRPCServer registers Impl.
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	backendpb.RegisterBackendServer(s, p.Impl)
	return nil
}

// GRPCClient returns a *Client over conn.
func (p *Plugin) GRPCClient(ctx context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &Client{BackendClient: backendpb.NewBackendClient(conn), Conn: conn, Exited: ctx.Done()}, nil
}

// ServerOptions are the gRPC options every backend serves with.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.MaxRecvMsgSize(MaxMessageBytes), grpc.MaxSendMsgSize(MaxMessageBytes)}
}

// DialOptions are their counterparts.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes), grpc.MaxCallSendMsgSize(MaxMessageBytes))}
}

// Serve runs a backend until the host tells it to stop or disappears, and is a backend's whole main. Logs go to stderr as JSON lines, which the
// host reads with their levels. It does not return in a process that no host started: it prints why and exits with status 1. More options are
// the backend's own, for instance to go on with the host's traces, whose context comes with each call as the metadata "traceparent".
func Serve(impl backendpb.BackendServer, more ...grpc.ServerOption) {
	logger := hclog.New(&hclog.LoggerOptions{Name: PluginName, Level: hclog.Info, Output: os.Stderr, JSONFormat: true})
	go watchParent()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake,
		Plugins:         plugin.PluginSet{PluginName: &Plugin{Impl: impl}},
		Logger:          logger,
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(slices.Concat(options, ServerOptions(), more)...)
		},
	})
}
