package server

import (
	"context"
	"encoding/hex"

	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Engine is what the front stands before: it decides, merges and generates. Its methods are called from many goroutines at once. Errors
// carry a *fault.Error; the server maps its code to a status.
type Engine interface {
	// Models lists the base first, then the live aliases by name.
	Models() []Model
	// Load takes an adapter through check, gate, stage, verify and activate. One that the gate refuses gives its report, whose verdict is
	// not open, and a nil error; an error means that there is no verdict or that an open one could not be carried out.
	Load(ctx context.Context, alias, ref string) (*report.Report, error)
	// Unload makes an alias mean nothing. An alias that is not live is fault.IONotFound.
	Unload(ctx context.Context, alias string) error
	// Rollback makes an alias mean the generation before its last one again.
	Rollback(ctx context.Context, alias string) (Model, error)
	// Generate starts a request. It ends with the context, or when its last event was received.
	Generate(ctx context.Context, request *backendpb.GenerateRequest) (Stream, error)
	Tokenizer() *tokenizer.Tokenizer
	Limits() Limits
	Status() Status
	// Report returns the report of the live generation of an alias.
	Report(alias string) (*report.Report, bool)
}

// Stream gives the events of one generation in the order of backend.proto: Admitted, the prompt's tokens, tokens, Finish.
type Stream interface {
	Recv() (*backendpb.GenerateEvent, error)
}

// Model is a name that completions can be asked of.
type Model struct {
	ID         string         // alias, or the base's name
	Root       string         // reference as it was loaded
	Parent     string         // the base's name; "" for the base itself
	Digest     string         // of the adapter or the base, "sha256:…"
	Generation string         // as GenerationName writes it
	Verdict    report.Verdict // "" for the base
	Created    int64          // when it became live, seconds since 1970
	History    int            // generations that Rollback can go back to
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
}

// Status is the state of the backend at one moment.
type Status struct {
	Ready    bool   // requests are answered
	State    string // for people: "ready", "restarting", …
	Backend  string // name and version
	Device   string
	Restarts int64 // since the server started
	Running  int   // requests in the backend
	Waiting  int   // requests queued in it
}
