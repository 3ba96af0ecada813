//go:build linux && amd64

// Package llamacpptest holds what Tenon writes as GGUF against llama.cpp itself. Its shared libraries are those of the npm package
// @node-llama-cpp/linux-x64, release v0.5.0: TENON_LLAMA_CPP names the directory that holds libllama.v0.5.0.so, and otherwise it is looked for
// where cmd/speed-bench installs it. Where there is none the tests are skipped.
//
// llama.cpp ends a process that it does not like, so it runs in a child: this test's own executable, started anew.
package llamacpptest

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// release is the only one whose structures are declared here.
const release = "v0.5.0"

// modelParams is llama_model_params.
type modelParams struct {
	Devices, Overrides                       uintptr
	GPULayers, SplitMode, LoadMode, LazyMode int32
	MainGPU                                  int32
	TensorSplit, Progress, ProgressData      uintptr
	KVOverrides                              uintptr
	VocabOnly, CheckTensors, ExtraBuffers    bool
	NoHost, NoAlloc, LoadMTP                 bool
}

// contextParams is llama_context_params.
type contextParams struct {
	Ctx, Batch, UBatch, SeqMax, RSSeq, OutputsMax, OutputsMaxPerSeq uint32
	Threads, ThreadsBatch                                           int32
	ContextType, RopeScaling, Pooling, Attention, FlashAttention    int32
	RopeBase, RopeScale, Yarn0, Yarn1, Yarn2, Yarn3                 float32
	YarnOriginal                                                    uint32
	Defrag                                                          float32
	Eval, EvalData                                                  uintptr
	TypeK, TypeV                                                    int32
	Abort, AbortData                                                uintptr
	Embeddings, OffloadKQV, NoPerf, OpOffload, SWAFull, KVUnified   bool
	Samplers                                                        uintptr
	SamplerCount                                                    uint
	Other                                                           uintptr
}

// batch is llama_batch.
type batch struct {
	Tokens                                                int32
	Token, Embeddings, Position, SeqCount, Seq, LogitMask uintptr
}

// library is llama.cpp's interface, as far as it is used.
type library struct {
	version         func() string
	loadBackends    func(string)
	backendInit     func()
	modelDefaults   func() modelParams
	contextDefaults func() contextParams
	modelLoad       func(string, modelParams) uintptr
	contextNew      func(uintptr, contextParams) uintptr
	contextFree     func(uintptr)
	modelVocab      func(uintptr) uintptr
	vocabSize       func(uintptr) int32
	batchOne        func(unsafe.Pointer, int32) batch
	decode          func(uintptr, batch) int32
	logits          func(uintptr, int32) unsafe.Pointer
	adapterInit     func(uintptr, string) uintptr
	setAdapters     func(uintptr, unsafe.Pointer, uint, unsafe.Pointer) int32
}

// open loads the libraries of a directory.
func open(dir string) (*library, error) {
	ggml, err := purego.Dlopen(dir+"/libggml."+release+".so", purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	llama, err := purego.Dlopen(dir+"/libllama."+release+".so", purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	l := new(library)
	purego.RegisterLibFunc(&l.version, llama, "llama_version")
	if v := l.version(); !strings.Contains(v, release[1:]) { // before any structure is passed
		return nil, fmt.Errorf("%s is llama.cpp %s, not %s", dir, v, release)
	}
	for name, function := range map[string]any{
		"llama_backend_init": &l.backendInit, "llama_model_default_params": &l.modelDefaults, "llama_context_default_params": &l.contextDefaults,
		"llama_model_load_from_file": &l.modelLoad, "llama_init_from_model": &l.contextNew, "llama_free": &l.contextFree,
		"llama_model_get_vocab": &l.modelVocab, "llama_vocab_n_tokens": &l.vocabSize, "llama_batch_get_one": &l.batchOne,
		"llama_decode": &l.decode, "llama_get_logits_ith": &l.logits, "llama_adapter_lora_init": &l.adapterInit,
		"llama_set_adapters_lora": &l.setAdapters,
	} {
		purego.RegisterLibFunc(function, llama, name)
	}
	purego.RegisterLibFunc(&l.loadBackends, ggml, "ggml_backend_load_all_from_path")
	l.loadBackends(dir)
	l.backendInit()
	return l, nil
}

// run answers a request.
func (l *library) run(r request) (reply, error) {
	p := l.modelDefaults()
	p.GPULayers = 0
	model := l.modelLoad(r.Model, p)
	if model == 0 {
		return reply{}, fmt.Errorf("llama.cpp did not load %s", r.Model)
	}
	adapter := uintptr(0)
	if r.Adapter != "" {
		if adapter = l.adapterInit(model, r.Adapter); adapter == 0 {
			return reply{}, fmt.Errorf("llama.cpp did not load %s", r.Adapter)
		}
	}
	var out reply
	for _, prompt := range r.Prompts {
		ids, first, err := l.continued(model, adapter, r.Scale, prompt, r.Tokens)
		if err != nil {
			return reply{}, err
		}
		out.IDs, out.Logits = append(out.IDs, ids), append(out.Logits, first)
	}
	return out, nil
}

// continued appends tokens to a prompt, each the likeliest, and returns them with the logits of the first.
func (l *library) continued(model, adapter uintptr, scale float32, prompt []int32, tokens int) (ids []int32, first []float32, err error) {
	p := l.contextDefaults()
	p.Ctx, p.Threads, p.ThreadsBatch = 512, 1, 1
	p.TypeK, p.TypeV, p.FlashAttention = 0, 0, 0 // a cache in F32 and the plain attention: nothing is rounded that PyTorch does not round
	context := l.contextNew(model, p)
	if context == 0 {
		return nil, nil, fmt.Errorf("llama.cpp made no context")
	}
	defer l.contextFree(context)
	if adapter != 0 {
		adapters, scales := [1]uintptr{adapter}, [1]float32{scale}
		if status := l.setAdapters(context, unsafe.Pointer(&adapters), 1, unsafe.Pointer(&scales)); status != 0 {
			return nil, nil, fmt.Errorf("llama_set_adapters_lora: %d", status)
		}
		runtime.KeepAlive(adapters)
	}
	vocab := int(l.vocabSize(l.modelVocab(model)))
	next := append([]int32(nil), prompt...)
	for range tokens {
		if status := l.decode(context, l.batchOne(unsafe.Pointer(&next[0]), int32(len(next)))); status != 0 {
			return nil, nil, fmt.Errorf("llama_decode: %d", status)
		}
		logits := unsafe.Slice((*float32)(l.logits(context, -1)), vocab)
		best := 0
		for i, v := range logits {
			if v > logits[best] {
				best = i
			}
		}
		if first == nil {
			first = append(first, logits...)
		}
		ids = append(ids, int32(best))
		next = []int32{int32(best)}
	}
	return ids, first, nil
}
