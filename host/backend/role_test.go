package backend

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// roleVariable makes the test binary play a backend.
const roleVariable = "TENON_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		goleak.VerifyTestMain(m)
		return
	}
	play(role)
	os.Exit(0)
}

// play is what the test binary does as a backend.
func play(role string) {
	switch role {
	case "good":
		backend.Serve(&fake{})
	case "flood":
		fmt.Fprintln(os.Stderr, strings.Repeat("flood ", 1<<18)) // one line of 1.5 MB
		for range 20000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("y", 100))
		}
		backend.Serve(&fake{})
	case "garbage":
		fmt.Println("\x1b[31mhello, I am no backend")
		fmt.Fprintln(os.Stderr, "and this is why")
	case "protocol":
		fmt.Println("1|99|unix|/nowhere|grpc|")
	case "net/rpc":
		fmt.Println("1|1|unix|/nowhere|netrpc|")
	case "address":
		fmt.Println("1|1|unix|/nowhere/at/all|grpc|")
	case "cookie":
		os.Unsetenv(backend.Handshake.MagicCookieKey)
		backend.Serve(&fake{})
	case "silent":
		time.Sleep(time.Hour) // an empty select would be a deadlock to the runtime
	case "exit 7":
		fmt.Fprintln(os.Stderr, "no device")
		os.Exit(7)
	case "host":
		// A host that starts a backend, says which, and waits to be killed.
		s, err := Start(context.Background(), self("good"), Options{})
		if err != nil {
			panic(err)
		}
		fmt.Println(s.Pid())
		time.Sleep(time.Hour)
	}
}

// fake is a backend that answers Describe, and generates without end.
type fake struct {
	backendpb.UnimplementedBackendServer
}

func (*fake) Describe(context.Context, *backendpb.DescribeRequest) (*backendpb.DescribeResponse, error) {
	return &backendpb.DescribeResponse{Name: os.Args[0], Device: os.Getenv("SECRET") + os.Getenv("EXTRA")}, nil
}

func (*fake) Generate(_ *backendpb.GenerateRequest, stream backendpb.Backend_GenerateServer) error {
	admitted := &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Admitted{Admitted: &backendpb.Admitted{}}}
	if err := stream.Send(admitted); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func self(role string) Spec {
	spec := Embedded()
	spec.Name, spec.Argv0 = "test", "test-backend"
	spec.Env = []string{roleVariable + "=" + role, "GORACE=atexit_sleep_ms=0"} // the race detector's own wait would hide how a process ends
	return spec
}
