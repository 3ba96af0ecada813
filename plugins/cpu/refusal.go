package cpu

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func missing(format string, args ...any) error {
	return status.Errorf(codes.NotFound, format, args...)
}

func notNow(format string, args ...any) error {
	return status.Errorf(codes.FailedPrecondition, format, args...)
}

func tooFar(format string, args ...any) error {
	return status.Errorf(codes.OutOfRange, format, args...)
}

func noRoom(format string, args ...any) error {
	return status.Errorf(codes.ResourceExhausted, format, args...)
}

// canceled is ctx's error as a status, or nil while ctx lives.
func canceled(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return nil
}

// acquire takes one of the tokens of a semaphore, or gives up with ctx.
func acquire(ctx context.Context, tokens chan struct{}) error {
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return canceled(ctx)
	}
}
