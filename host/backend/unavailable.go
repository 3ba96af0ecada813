package backend

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Unavailable reports whether a call failed because its process died, and not because of what was asked.
func Unavailable(err error) bool { return err != nil && status.Code(err) == codes.Unavailable }

// statusOptions make a dead process look alike from everywhere, and a silent one end. gRPC says Canceled to calls that are cut off when the
// connection is closed after the process was killed; only a caller who did cancel should hear that.
func statusOptions(spec Spec) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
			call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return deadIsUnavailable(ctx, call(ctx, method, req, reply, conn, opts...))
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
			call grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			inner, cancel := context.WithCancel(ctx)
			stream, err := call(inner, desc, conn, method, opts...)
			if err != nil {
				cancel()
				return nil, deadIsUnavailable(ctx, err)
			}
			mortal := &mortalStream{ClientStream: stream, caller: ctx, cancel: cancel, name: spec.Name}
			if method == backendpb.Backend_Merge_FullMethodName || method == backendpb.Backend_Stage_FullMethodName {
				mortal.patience = spec.patience()
			}
			return mortal, nil
		}),
	}
}

func deadIsUnavailable(ctx context.Context, err error) error {
	if status.Code(err) == codes.Canceled && ctx.Err() == nil {
		return status.Error(codes.Unavailable, "the backend's process has ended")
	}
	return err
}

// mortalStream translates what its messages fail with, and gives up where none comes.
type mortalStream struct {
	grpc.ClientStream
	caller   context.Context // the stream's own ends with the stream
	cancel   context.CancelFunc
	name     string        // of the backend
	patience time.Duration // for one message; 0 waits for ever
	silent   atomic.Bool
}

func (s *mortalStream) RecvMsg(m any) error {
	if s.patience > 0 {
		timer := time.AfterFunc(s.patience, func() {
			s.silent.Store(true)
			s.cancel()
		})
		defer timer.Stop()
	}
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		return nil
	}
	s.cancel() // nothing comes after an error
	if s.silent.Load() && s.caller.Err() == nil {
		return fault.New(fault.BackendDown, "backend %q finished no tensor for %v, and was given up", s.name, s.patience).
			Fix("do not use this backend; run its conformance test: tenon backend test")
	}
	return deadIsUnavailable(s.caller, err)
}

func (s *mortalStream) SendMsg(m any) error {
	return deadIsUnavailable(s.caller, s.ClientStream.SendMsg(m))
}
