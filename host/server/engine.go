package server

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Engine is what the front stands before: it decides, merges and generates. Its methods are called from many goroutines at once. Aliases are
// qualified, as Qualify makes them; who asks is in the context, as WithActor puts it there. Errors carry a *fault.Error; the server maps its
// code to a status.
type Engine interface {
	// Models lists the base first, then the aliases by ID: those that are live, and those that could not be brought back.
	Models() []Model
	// Load takes an adapter through check, gate, stage and verify, and makes it live. One that the gate refuses gives its report, whose
	// verdict is not open, and a nil error; an error means that there is no verdict or that an open one could not be carried out.
	Load(ctx context.Context, load Load) (*Loaded, error)
	// Activate makes a generation that was staged for an alias, or that it meant before, what it means. Of a generation that is neither:
	// fault.IONotFound.
	Activate(ctx context.Context, alias, generation string) (Model, error)
	// Rollback makes an alias mean an earlier generation again, without the gate: the one before its last one, or the one named.
	Rollback(ctx context.Context, alias, generation string) (Model, error)
	// Unload makes an alias mean nothing. An alias that is not live is fault.IONotFound.
	Unload(ctx context.Context, alias string) error
	// History lists what an alias has meant, newest first, and before that what is staged for it.
	History(ctx context.Context, alias string, limit int) ([]Record, error)
	// Generations lists what the backend holds beyond the base, by Generation.
	Generations() []Resident
	// Generate starts a request. It ends with the context, or when its last event was received.
	Generate(ctx context.Context, request *backendpb.GenerateRequest) (Stream, error)
	// Report returns the report of the live generation of an alias, or of a generation that History or Generations names.
	Report(ctx context.Context, alias, generation string) (*report.Report, error)
	Tokenizer() *tokenizer.Tokenizer
	Limits() Limits
	Status() Status
	// Feed tells what happens.
	Feed() *Feed
}

// Stream gives the events of one generation in the order of backend.proto: Admitted, the prompt's tokens, tokens, Finish.
type Stream interface {
	Recv() (*backendpb.GenerateEvent, error)
}

// Load is an adapter to be made live.
type Load struct {
	Alias  string
	Ref    string
	Mode   Mode // "" is ModeAuto
	Staged bool // stop when it is staged and verified: Activate makes it live
}

// Loaded is the answer to a Load.
type Loaded struct {
	Report *report.Report
	Model  Model // where the verdict is open
}

// Mode is how a generation's change is computed.
type Mode string

// The modes. Auto merges where the memory allows it, and else adds the factors' product at each token.
const (
	ModeAuto     Mode = "auto"
	ModeMerged   Mode = "merged"
	ModeUnmerged Mode = "unmerged"
)

// State is what an alias, or a generation of it, is at the moment.
type State string

// The states.
const (
	StateLive   State = "live"
	StateStaged State = "staged" // complete and verified, but no alias means it
	StatePast   State = "past"   // an alias meant it
	StateFailed State = "failed" // it was live when the host ended, and could not be brought back

	StateReturning State = "returning" // it was live when the host ended, and is being brought back
)

// Model is a name that completions can be asked of.
type Model struct {
	ID         string         // qualified alias, or the base's name
	Root       string         // reference as it was loaded
	Parent     string         // the base's name; "" for the base itself
	Digest     string         // of the adapter or the base, "sha256:…"
	Generation string         // as GenerationName writes it
	Verdict    report.Verdict // "" for the base
	Created    int64          // when it became live, seconds since 1970
	History    int            // steps back that Rollback can take without being told where to
	Sequence   uint64         // of the activation; 0 for the base
	Mode       Mode           // merged or unmerged; "" for the base
	ModeReason string         // why, for people
	State      State
	Failure    string // why, where State is failed
	Bytes      int64  // memory of its own, beyond the base
}

// answers tells that completions can be asked of a model now.
func (m Model) answers() bool { return m.State == "" || m.State == StateLive }

// Record is one entry of an alias's history.
type Record struct {
	Sequence   uint64 // 0 for a generation that was never live
	Time       time.Time
	Actor      string
	Action     string // "activate", "rollback", "unload", "stage"
	State      State
	Generation string // "" of an unload
	Digest     string // of the adapter
	Ref        string
	Mode       Mode
	Verdict    report.Verdict
}

// Resident is a generation in the backend's memory.
type Resident struct {
	Generation string
	Aliases    []string // that mean it, by name
	State      State
	Mode       Mode
	Bytes      int64
	Requests   int // bound to it now
}

// GenerationName writes a generation's digest as the API shows it. No digest is the base's own weights.
func GenerationName(digest []byte) string {
	if len(digest) == 0 {
		return "base"
	}
	return "sha256:" + hex.EncodeToString(digest)
}

// Limits are the model's, and do not change while it is served.
type Limits struct {
	MaxPositions int     // prompt and generated tokens together
	VocabSize    int     // token ids are below it
	EOS          []int32 // tokens that end a text
	MaxAdapters  int     // that can be live at once
	ModelDir     string  // of the base: chat templates are read there
}

// Status is the state of the backend at one moment.
type Status struct {
	Ready       bool   // requests are answered
	State       string // for people: "ready", "restarting", …
	Backend     string // name and version
	Device      string
	Restarts    int64 // since the server started
	Running     int   // requests in the backend
	Waiting     int   // requests queued in it
	MemoryUsed  int64 // of generations, beyond the base, in bytes
	MemoryLimit int64 // that they may use; 0 where there is no limit
	CacheBytes  int64 // keys and values of texts
}
