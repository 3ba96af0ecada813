// Package sandbox runs one guest on one adapter: it looks a module over before the compiler does, compiles it, answers its host calls and
// collects what it gives. It is the only package that knows the WebAssembly engine. It bounds what can be bounded from inside a process;
// the rest is for wasm/worker, which kills.
package sandbox

import (
	"context"
	"fmt"
	goruntime "runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// Engine names the compiler and its version. Compiled code is only good for the engine that wrote it, so caches are keyed by this.
const Engine = "wazero-1.12.0"

// Options are one run of one module on one input.
type Options struct {
	Wasm     []byte
	Manifest abi.Manifest
	Granted  []abi.Capability
	Limits   abi.Limits // zero fields mean the defaults; the times are kept by whoever can kill the process
	Input    Input

	// Prepared, when set, is Wasm compiled by Prepare for these Limits. It is good for one run, which closes it.
	Prepared *Prepared

	// CacheDir holds compiled code, for this module only. What lies there is executed: it must be writable by nobody else. Empty means no
	// cache.
	CacheDir string

	// Compiled, when set, is called after compilation and before any guest code runs. An error ends the run.
	Compiled func() error

	// Trace, when set, is filled with what each function of the ABI cost.
	Trace Trace

	// InProcess makes the guest stop when ctx ends, at function entries and loop heads. It costs four to seven times on tight guests and does
	// not bound a hostile one, which is what the worker process is for.
	InProcess bool

	// Interpreter runs without compiling, 126 times slower. It is the second opinion of the differential test.
	Interpreter bool
}

// Run pre-checks, compiles and runs a module, in this process and on this goroutine. Hostile modules belong in a worker process: some of
// them can neither be stopped nor bounded from inside.
func Run(ctx context.Context, o Options) Result {
	if o.Prepared != nil {
		defer o.Prepared.close(ctx)
	}
	if err := o.precheck(); err != nil {
		return refused(err)
	}
	if err := o.Input.check(); err != nil {
		return Result{Status: Invalid, Error: "the input of the run: " + err.Error()}
	}
	r := newRun(o)
	if o.InProcess {
		ctx = experimental.WithFunctionListenerFactory(ctx, stopAtFunctions{})
	}
	start := time.Now()
	p := o.Prepared
	if p == nil {
		var err error
		if p, err = compile(ctx, o); err != nil {
			r.usage.Compile = time.Since(start).Nanoseconds()
			return r.result(r.outcome(ctx, "compile", err))
		}
	}
	if o.Prepared == nil {
		defer p.close(ctx)
	}
	if err := r.link(ctx, p.runtime); err != nil {
		return r.result(r.outcome(ctx, "compile", err))
	}
	r.usage.Compile = time.Since(start).Nanoseconds()
	if o.Compiled != nil {
		if err := o.Compiled(); err != nil {
			return r.result(outcome{status: WorkerDied, text: err.Error()})
		}
	}
	start = time.Now()
	end := r.execute(ctx, p.runtime, p.compiled)
	r.usage.Wall = time.Since(start).Nanoseconds()
	return r.result(end)
}

// precheck is Precheck of a run. A module that Prepare has looked at is only held against the grants, which are the run's own.
func (o Options) precheck() error {
	if o.Prepared == nil {
		return Precheck(o.Wasm, o.Manifest, o.Granted, o.Limits)
	}
	return refuseMissing(missingGrants(o.Prepared.asked, grants(o.Manifest, o.Granted)))
}

// Prepared is a compiled module without a run.
type Prepared struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	asked    []abi.Function // its imports
}

func (p *Prepared) close(ctx context.Context) { _ = p.runtime.Close(context.WithoutCancel(ctx)) }

// Prepare does what can be done for a run of a module before it is known what the run is of: of the options Wasm, Limits and CacheDir. The
// module is looked over as one that may import anything; what it may import its run looks at.
func Prepare(ctx context.Context, o Options) (*Prepared, error) {
	m, err := look(o.Wasm, o.Limits)
	if err == nil {
		err = m.verdict(func(abi.Capability) bool { return true })
	}
	if err != nil {
		return nil, err
	}
	p, err := compile(ctx, o)
	if err == nil {
		p.asked = m.asked
	}
	return p, err
}

// compile compiles the module.
func compile(ctx context.Context, o Options) (*Prepared, error) {
	config := wazero.NewRuntimeConfigCompiler()
	if o.Interpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	config = config.
		WithCoreFeatures(api.CoreFeaturesV2).
		WithMemoryLimitPages(uint32(min(o.Limits.WithDefaults().GuestMemory/pageSize, maxPages))).
		WithDebugInfoEnabled(false). // the DWARF parser would read foreign bytes for nothing
		WithCloseOnContextDone(o.InProcess)
	if o.CacheDir != "" && !o.Interpreter {
		cache, err := wazero.NewCompilationCacheWithDir(o.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("the cache of compiled modules: %w", err)
		}
		config = config.WithCompilationCache(cache)
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, config)
	compiled, err := runtime.CompileModule(experimental.WithCompilationWorkers(ctx, goruntime.GOMAXPROCS(0)), o.Wasm)
	if err != nil {
		_ = runtime.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return &Prepared{runtime: runtime, compiled: compiled}, nil
}

// link instantiates what a guest may import.
func (r *run) link(ctx context.Context, runtime wazero.Runtime) error {
	host := runtime.NewHostModuleBuilder(abi.Module)
	for _, f := range abi.Functions {
		params := make([]api.ValueType, len(f.Params))
		for i, p := range f.Params {
			params[i] = api.ValueType(p)
		}
		host.NewFunctionBuilder().
			WithGoModuleFunction(r.bind(f, handlers[f.Name]), params, []api.ValueType{api.ValueTypeI32}).
			Export(f.Name)
	}
	if _, err := host.Instantiate(ctx); err != nil {
		return fmt.Errorf("link %s: %w", abi.Module, err)
	}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, runtime); err != nil {
		return fmt.Errorf("link %s: %w", abi.WASIModule, err)
	}
	return nil
}

// execute instantiates the compiled module, initializes it and calls diagnose. A trapped instance is never called again.
func (r *run) execute(ctx context.Context, runtime wazero.Runtime, compiled wazero.CompiledModule) (end outcome) {
	defer func() {
		switch failure := recover().(type) {
		case nil:
		case *outOfMemory:
			end = outcome{status: Memory, text: failure.Error()}
		default:
			panic(failure)
		}
	}()
	config := wazero.NewModuleConfig().
		WithName("").
		WithStartFunctions(). // _initialize is called below, so that its failure is told apart
		WithStdout(&r.log).
		WithStderr(&r.log).
		WithRandSource(newRandomSource()).
		WithWalltime(fixedWalltime()).
		WithNanotime(fixedNanotime()) // and no WithSysNanosleep: a sleeping guest would outlast every check
	instance, err := runtime.InstantiateModule(withAllocator(ctx), compiled, config)
	if err != nil {
		return r.outcome(ctx, "instantiate", err)
	}
	defer func() { r.memory = int64(instance.Memory().Size()) }()
	if initialize := instance.ExportedFunction(abi.ExportInitialize); initialize != nil {
		if _, err := initialize.Call(ctx); err != nil {
			return r.outcome(ctx, abi.ExportInitialize, err)
		}
	}
	results, err := instance.ExportedFunction(abi.ExportDiagnose).Call(ctx)
	if err != nil {
		return r.outcome(ctx, abi.ExportDiagnose, err)
	}
	switch code := api.DecodeI32(results[0]); {
	case ctx.Err() != nil: // the engine does not look at it when a call returns
		return ended(ctx, abi.ExportDiagnose)
	case code > 0:
		return outcome{status: GuestError, code: code, text: fmt.Sprintf("%s returned %d, an error code of the module", abi.ExportDiagnose, code)}
	case code < 0:
		return outcome{status: Trap, text: fmt.Sprintf("%s returned %d: results below 0 are reserved", abi.ExportDiagnose, code)}
	}
	return outcome{status: OK}
}

// stopAtFunctions ends a run at the next function entry once its context is done, since the engine looks at loop heads only.
type stopAtFunctions struct{}

// NewFunctionListener listens to every function.
func (stopAtFunctions) NewFunctionListener(api.FunctionDefinition) experimental.FunctionListener {
	return experimental.FunctionListenerFunc(func(ctx context.Context, _ api.Module, _ api.FunctionDefinition, _ []uint64,
		_ experimental.StackIterator) {
		if err := ctx.Err(); err != nil {
			panic(err)
		}
	})
}

var _ experimental.FunctionListenerFactory = stopAtFunctions{}
