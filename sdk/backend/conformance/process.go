package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Host starts the backend that is examined.
type Host interface {
	// Command is the backend started by hand: its executable, arguments and environment, and nothing of a handshake.
	Command(ctx context.Context) *exec.Cmd
	// Start starts it as a server does, and again when it dies or stops answering. restore is called for each process but the first.
	Start(ctx context.Context, restore func(context.Context, backendpb.BackendClient) error) (Supervised, error)
}

// Supervised is a backend that is kept running until Stop.
type Supervised interface {
	Client(ctx context.Context) (backendpb.BackendClient, error) // waits for one that is being started again
	Pid() int                                                    // 0 while there is no process
	Stop(ctx context.Context)
}

// TestProcess runs what can only be asked of a process: how it starts, ends, and comes back.
func TestProcess(t T, host Host) {
	k := &kit{start: func(t T) backendpb.BackendClient { return supervised(t, host, nil).client(t) }}
	t.Run("started by hand", func(t T) { testByHand(t, host) })
	t.Run("handshake", func(t T) { testHandshake(t, host) })
	t.Run("handshake of another version", func(t T) { testOtherVersion(t, host) })
	t.Run("left by its host", func(t T) { testOrphan(t, host) })
	if !t.Run(describing+" the process", k.describe) {
		return
	}
	for _, c := range []struct {
		name string
		run  func(T, *kit, Host)
	}{
		{"killed while it stages", testKilled},
		{"frozen", testFrozen},
		{"generations come and go", testLeaks},
	} {
		t.Run(c.name, func(t T) {
			k.needs(t, backend.Staging)
			c.run(t, k, host)
		})
	}
}

// running is a supervised backend of a test.
type running struct{ Supervised }

func supervised(t T, host Host, restore func(context.Context, backendpb.BackendClient) error) running {
	t.Helper()
	if restore == nil {
		restore = func(context.Context, backendpb.BackendClient) error { return nil }
	}
	s, err := host.Start(t.Context(), restore)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { s.Stop(context.Background()) })
	return running{s}
}

func (r running) client(t T) backendpb.BackendClient {
	t.Helper()
	client, err := r.Client(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	return client
}

// successor waits for the process after pid, told all it must know.
func (r running) successor(t T, pid int) backendpb.BackendClient {
	t.Helper()
	for t.Context().Err() == nil {
		client, err := r.Client(t.Context())
		if err != nil {
			t.Fatalf("it did not come back: %v", err)
		}
		if now := r.Pid(); now != 0 && now != pid {
			return client
		}
		time.Sleep(5 * time.Millisecond) // its end was not noticed yet
	}
	t.Fatalf("process %d was not replaced", pid)
	return nil
}

// testKilled kills the process in the middle of a staging. What is lost is lost, and its successor computes what was live to the same bytes.
func testKilled(t T, k *kit, host Host) {
	b := k.wideBase(t)
	kept, lost := newAdapter(t, b, "kept", 6, target{"a", 2, tensor.F32, 1, false, 0.1}), wideAdapter(t, b)
	var first []*backendpb.MergeEvent
	s := supervised(t, host, func(ctx context.Context, client backendpb.BackendClient) error {
		_, err := client.LoadBase(ctx, b.Request())
		if err != nil {
			return err
		}
		again, err := drain(client.Stage(ctx, kept.request()))
		if err != nil {
			return err
		}
		if !slices.EqualFunc(first, again, func(x, y *backendpb.MergeEvent) bool { return proto.Equal(x, y) }) {
			return fmt.Errorf("staging again after a restart answers %v, before it %v", again, first)
		}
		_, err = client.Activate(ctx, &backendpb.ActivateRequest{Alias: "live", Generation: kept.generation(), Sequence: 7})
		return err
	})
	client, pid := s.client(t), s.Pid()
	load(t, client, b)
	checkEvents(t, client, kept)
	first = stage(t, client, kept.request())
	activate(t, client, "live", kept.generation(), 7)

	stream, err := client.Stage(t.Context(), lost.request())
	if err != nil {
		t.Fatalf("Stage: %v", err)
	}
	before, err := stream.Recv()
	if err != nil {
		t.Fatalf("Stage: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("%v", err)
	}
	_, _ = drain(stream, nil)
	client = s.successor(t, pid)
	now := currentStatus(t, client)
	if len(now.Generations) != 1 || !bytes.Equal(now.Generations[0].Generation, kept.generation()) ||
		len(now.Aliases) != 1 || !bytes.Equal(now.Aliases[0].Generation, kept.generation()) {
		t.Errorf("after the restart: %v", now)
	}
	i := slices.IndexFunc(stage(t, client, lost.request()), func(e *backendpb.MergeEvent) bool { return proto.Equal(e, before) })
	if i < 0 {
		t.Errorf("staging what was lost does not give the event %v again", before)
	}
}

// testFrozen stops the process with a signal: it still exists, and answers nothing.
func testFrozen(t T, k *kit, host Host) {
	s := supervised(t, host, nil)
	pid := s.Pid()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("%v", err)
	}
	currentStatus(t, s.successor(t, pid))
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
}

const (
	stagings     = 200
	warmUp       = 20       // of them, after which memory must not grow any more
	allowedBytes = 32 << 20 // that it may grow all the same: a heap is no accountant
)

// testLeaks stages and releases, over and over.
func testLeaks(t T, k *kit, host Host) {
	s := supervised(t, host, nil)
	client, b := s.client(t), k.wideBase(t)
	load(t, client, b)
	a := newAdapter(t, b, "passing", 6, target{"a", 1, tensor.F32, 1, false, 0.1})
	bytes, memory := uint64(0), int64(0)
	for i := range stagings {
		request := a.request()
		request.Generation = digest("passing " + strconv.Itoa(i))
		stage(t, client, request)
		now := currentStatus(t, client)
		if len(now.Generations) != 1 || i > 0 && now.Generations[0].Bytes != bytes {
			t.Fatalf("after %d stagings, each but the last released: %v; the first was of %d bytes", i+1, now, bytes)
		}
		bytes = now.Generations[0].Bytes
		if _, err := client.Release(t.Context(), &backendpb.ReleaseRequest{Generation: request.Generation}); err != nil {
			t.Fatalf("Release: %v", err)
		}
		if i == warmUp {
			memory = residentBytes(s.Pid())
		}
	}
	if now := currentStatus(t, client); len(now.Generations) != 0 {
		t.Errorf("all are released: %v", now)
	}
	if after := residentBytes(s.Pid()); memory > 0 && after-memory > allowedBytes {
		t.Errorf("%d generations that were released left %d bytes of memory, %d each", stagings-warmUp, after-memory, (after-memory)/(stagings-warmUp))
	}
}

// residentBytes is the memory a process holds, 0 where the system does not say.
func residentBytes(pid int) int64 {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
