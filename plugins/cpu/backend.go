// Package cpu is the backend that ships inside tenon: it keeps a base's stored bytes in memory, merges adapters into copy-on-write generations,
// and generates text straight from the stored bytes, with one forward pass for Llama, Mistral, Qwen and GPT-2.
//
// It reads the files it is pointed at and parses no format: every offset, shape and dtype arrives in the request, and is checked again here,
// because a process that holds other people's weights trusts no one.
package cpu

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Argv0 is the argv[0] under which tenon's own executable is this backend.
const Argv0 = "tenon-backend-cpu"

// Options tunes a Backend. The zero value is what a process of its own wants.
type Options struct {
	Version string // for Describe; "" is "devel"
	Workers int    // threads to compute with; 0 is one for each CPU

	// Texts is how many are generated at a time; others wait. 0 is 32, and more than 64 are not.
	Texts int
	// CacheBytes is the memory for keys and values: texts that may come to need more wait. 0 is half of what the machine has left when the first text
	// comes.
	CacheBytes int64
	// PrefixBytes is how much of it may hold what texts to come may begin with. 0 is a quarter.
	PrefixBytes int64
}

// Backend implements the contract of package backend. It lives as long as its process: a base, once loaded, stays.
type Backend struct {
	backendpb.UnimplementedBackendServer
	options   Options
	available func() (uint64, bool) // bytes of memory that can still be had, if known

	base    atomic.Pointer[base]
	aliases atomic.Pointer[aliasTable]

	mu          sync.Mutex // guards what follows, and every replacement of the two pointers
	generations map[string]*generation
	staging     map[string]chan struct{} // closed when the generation exists or has failed

	merging chan struct{}          // one token: stagings and merges take turns, for each uses every worker
	engine  atomic.Pointer[engine] // of the base's texts; nil before the first
}

var _ backendpb.BackendServer = (*Backend)(nil)

// New returns a backend with no base.
func New(options Options) *Backend {
	if options.Version == "" {
		options.Version = "devel"
	}
	if options.Workers <= 0 {
		options.Workers = runtime.GOMAXPROCS(0)
	}
	b := &Backend{
		options:     options,
		available:   availableMemory,
		generations: map[string]*generation{},
		staging:     map[string]chan struct{}{},
		merging:     make(chan struct{}, 1),
	}
	b.aliases.Store(&aliasTable{})
	return b
}

// engineOf returns the engine, which the first text makes. m is the base's model.
func (b *Backend) engineOf(m *model) *engine {
	if e := b.engine.Load(); e != nil {
		return e
	}
	e := newEngine(m.config, b.options, b.available)
	if !b.engine.CompareAndSwap(nil, e) {
		return b.engine.Load()
	}
	return e
}

// Main is the whole main of the backend's process. server are options of its gRPC server.
func Main(options Options, server ...grpc.ServerOption) { backend.Serve(New(options), server...) }

// Describe tells what this backend is.
func (b *Backend) Describe(context.Context, *backendpb.DescribeRequest) (*backendpb.DescribeResponse, error) {
	return &backendpb.DescribeResponse{
		Name:          "cpu",
		Version:       b.options.Version,
		Device:        deviceName(b.options.Workers),
		Dtypes:        []string{"BF16", "F16", "F32"},
		Architectures: slices.Clone(architectures),
		MemoryBytes:   totalMemory(),
		Unmerged:      true,
		Forms: []string{
			backendpb.FormReshaped, backendpb.FormBlocks, backendpb.FormDense, backendpb.FormStart, backendpb.FormMagnitude,
		},
	}, nil
}
