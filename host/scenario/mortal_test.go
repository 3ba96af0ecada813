package scenario

import (
	"os"
	"path/filepath"

	"github.com/tenon-ml/tenon/plugins/cpu"
	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// A backend that dies of merges: the test binary under another name. deathsName is a file beside it, with a byte for each death.
const (
	mortalName = "tenon-backend-mortal"
	deathsName = "deaths"
)

// init makes the process a backend where it was started as one.
func init() {
	if filepath.Base(os.Args[0]) == mortalName {
		backend.Serve(&mortal{cpu.New(cpu.Options{})})
		os.Exit(0)
	}
}

// mortal computes as the built-in backend does, and dies in the middle of staging an adapter of the second one's rank where there is a file of
// deaths.
type mortal struct{ *cpu.Backend }

// Stage implements backendpb.BackendServer.
func (m *mortal) Stage(r *backendpb.StageRequest, stream backendpb.Backend_StageServer) error {
	if len(r.Patches) > 0 && r.Patches[0].A.Shape[0] == 8 {
		stream = &lastWords{stream}
	}
	return m.Backend.Stage(r, stream)
}

// lastWords ends the process when the first tensor is finished.
type lastWords struct{ backendpb.Backend_StageServer }

// Send implements backendpb.Backend_StageServer.
func (l *lastWords) Send(event *backendpb.MergeEvent) error {
	deaths, err := os.OpenFile(filepath.Join(filepath.Dir(os.Args[0]), deathsName), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return l.Backend_StageServer.Send(event)
	}
	_, _ = deaths.WriteString("x")
	os.Exit(9)
	return nil
}
