package backend

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Unavailable reports whether a call failed because its process died, and not because of what was asked.
func Unavailable(err error) bool { return err != nil && status.Code(err) == codes.Unavailable }

// statusOptions make a dead process look alike from everywhere. gRPC says Canceled to calls that are cut off when the connection is closed after
// the process was killed; only a caller who did cancel should hear that.
func statusOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
			call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return deadIsUnavailable(ctx, call(ctx, method, req, reply, conn, opts...))
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
			call grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			stream, err := call(ctx, desc, conn, method, opts...)
			if err != nil {
				return nil, deadIsUnavailable(ctx, err)
			}
			return &mortalStream{ClientStream: stream, caller: ctx}, nil
		}),
	}
}

func deadIsUnavailable(ctx context.Context, err error) error {
	if status.Code(err) == codes.Canceled && ctx.Err() == nil {
		return status.Error(codes.Unavailable, "the backend's process has ended")
	}
	return err
}

// mortalStream translates what its messages fail with.
type mortalStream struct {
	grpc.ClientStream
	caller context.Context // the stream's own ends with the stream
}

func (s *mortalStream) RecvMsg(m any) error {
	return deadIsUnavailable(s.caller, s.ClientStream.RecvMsg(m))
}

func (s *mortalStream) SendMsg(m any) error {
	return deadIsUnavailable(s.caller, s.ClientStream.SendMsg(m))
}
