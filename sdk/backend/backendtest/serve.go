package backendtest

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/backend/conformance"
)

// Serve serves a backend over memory for as long as a test lasts, and returns a client of it.
func Serve(t conformance.T, impl backendpb.BackendServer) backendpb.BackendClient {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(backend.ServerOptions()...)
	backendpb.RegisterBackendServer(server, impl)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	options := append(backend.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	conn, err := grpc.NewClient("passthrough:memory", options...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return backendpb.NewBackendClient(conn)
}
