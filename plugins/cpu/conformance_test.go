package cpu

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/backend/backendtest"
)

// connect serves b over memory and returns a client of it.
func connect(t testing.TB, b *Backend) backendpb.BackendClient {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(backend.ServerOptions()...)
	backendpb.RegisterBackendServer(server, b)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	options := append(backend.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	conn, err := grpc.NewClient("passthrough:memory", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return backendpb.NewBackendClient(conn)
}

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
	}{{"one worker", Options{Workers: 1}}, {"many workers", Options{Workers: 7}}} {
		t.Run(c.name, func(t *testing.T) {
			backendtest.Test(t, func(t *testing.T) backendpb.BackendClient { return connect(t, New(c.options)) })
		})
	}
}
