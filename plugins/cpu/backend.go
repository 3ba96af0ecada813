// Package cpu is the backend that ships inside tenon: it keeps a base's stored bytes in memory, merges adapters into copy-on-write generations,
// and generates text with a compact Llama-family forward pass straight from the stored bytes.
//
// It reads the files it is pointed at and parses no format: every offset, shape and dtype arrives in the request, and is checked again here,
// because a process that holds other people's weights trusts no one.
package cpu

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Argv0 is the argv[0] under which tenon's own executable is this backend.
const Argv0 = "tenon-backend-cpu"

// Options tunes a Backend. The zero value is what a process of its own wants.
type Options struct {
	Version string // for Describe; "" is "devel"
	Workers int    // threads to compute with, and generations of text at a time; 0 is one for each CPU
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

	merging  chan struct{} // one token: stagings and merges take turns, for each uses every worker
	slots    chan struct{} // one token for each text that may be generated at a time
	running  atomic.Int32
	waiting  atomic.Int32
	sessions sessionPool
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
		slots:       make(chan struct{}, options.Workers),
	}
	b.aliases.Store(&aliasTable{})
	return b
}

// Main is the whole main of the backend's process.
func Main(options Options) { backend.Serve(New(options)) }

// Describe tells what this backend is.
func (b *Backend) Describe(context.Context, *backendpb.DescribeRequest) (*backendpb.DescribeResponse, error) {
	return &backendpb.DescribeResponse{
		Name:          "cpu",
		Version:       b.options.Version,
		Device:        deviceName(b.options.Workers),
		Dtypes:        []string{"BF16", "F16", "F32"},
		Architectures: []string{architectureLlama},
		MemoryBytes:   totalMemory(),
	}, nil
}
