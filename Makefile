# Everything a developer runs. `make help` lists it.

GO      ?= go
BIN     := bin
GUESTS  := factors peers weights
WASM    := $(foreach g,$(GUESTS),wasm/modules/$(g).wasm.zst)
GUEST_SOURCES := $(shell find sdk/diag sdk/abi wasm/modules wasm/guests -name '*.go' -not -name '*_test.go' -not -path 'sdk/abi/bindings/*' 2>/dev/null) go.mod go.sum
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s

export CGO_ENABLED ?= 0

.PHONY: openai-client scenarios build test race fuzz bench bench-peers gate-bench stress test-avx512 lint check guests paper bindings assemblyscript python-backend proto demo run clean help

build: guests ## build bin/tenon, one static binary
	$(GO) build -trimpath -ldflags="-s -w -X main.version=$(VERSION)" -o $(BIN)/tenon ./cmd/tenon

guests: $(WASM) ## compile the built-in diagnostics to WebAssembly

# The guests are ordinary Go programs; -trimpath and -buildvcs=false make their digests the same on every machine.
$(WASM): wasm/modules/%.wasm.zst: $(GUEST_SOURCES)
	GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -buildmode=c-shared -ldflags="-s -w" -o $(BIN)/$*.wasm ./wasm/guests/$*
	GOOS= GOARCH= $(GO) run ./wasm/guests/pack $(BIN)/$*.wasm $@

test: guests ## run all tests
	$(GO) test -timeout 20m ./...

# Under the race detector a guest takes a minute to compile. So the workers of host's tests are the ordinary binary, and the packages
# whose tests only compile guests or tell stories through the command line are left to `make test`.
RACE := $(shell $(GO) list ./... 2>/dev/null | grep -vE '/cmd/tenon$$|/wasm/modules$$|/wasm/conformance$$|/examples/backend/|/host/backend/trial$$|/host/moduletest$$|/host/scenario$$|/host/server/clienttest$$')

race: build ## run the tests of everything concurrent under the race detector (needs a C compiler)
	TENON_TEST_WORKER=$(CURDIR)/$(BIN)/tenon CGO_ENABLED=1 $(GO) test -race -timeout 30m $(RACE)

fuzz: guests ## run every fuzz target for FUZZTIME each
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$package; \
		done; \
	done

BENCH          ?= .
BENCH_PACKAGES ?= ./...
BENCH_FLAGS    ?=

bench: guests ## run benchmarks, for benchstat; those named Limit measure the machine; BENCH, BENCH_PACKAGES and BENCH_FLAGS='-count 6' choose
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m $(BENCH_FLAGS) $(BENCH_PACKAGES)

SPEED_BENCH ?= -write docs/benchmarks.md

bench-peers: build ## measure Tenon beside PEFT, numpy, cp and the machine's limits, and write docs/benchmarks.md; SPEED_BENCH has its flags
	$(GO) run ./cmd/speed-bench -tenon $(BIN)/tenon $(SPEED_BENCH)

stress: guests ## check 1,000 times with hostile modules among others, and run 1,000 modules at once (5 minutes)
	$(GO) test -count=1 -v -timeout 30m -run 'TestManyModules|TestThousandAtOnce' ./host/stress ./wasm/hostile -args -long

scenarios: ## the long form of the scenarios: 10,000 swaps under load, 500 kills of the host (an hour on 2 quiet cores)
	TENON_SWAPS=10000 TENON_KILLS=500 TENON_BACKEND_KILLS=50 $(GO) test -count=1 -v -timeout 3h ./host/scenario

test-avx512: ## run the kernels' tests on an emulated processor with AVX-512 (needs bochs, isolinux, xorriso)
	$(GO) run ./internal/kernel/emulated

GATE_BENCH ?= -write docs/gate.md

gate-bench: guests ## plant faults into good adapters, see what the gate finds, and write docs/gate.md (10 minutes on 2 quiet cores); GATE_BENCH has its flags
	$(GO) run ./cmd/gate-bench $(GATE_BENCH)

lint: guests ## gofmt and go vet
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	GOOS=wasip1 GOARCH=wasm $(GO) vet ./sdk/diag ./sdk/conformance/go ./examples/diagnostics/watermark $(addprefix ./wasm/guests/,$(GUESTS))

check: lint test race ## what CI runs

bindings: ## write the imports of the C, Rust and AssemblyScript SDKs again, after a change to sdk/abi
	$(GO) run ./sdk/abi/bindings

python-backend: ## install what the example backend in Python needs, in the user's cache folder (needs python3)
	$(MAKE) -C examples/backend/python

CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)

openai-client: ## install OpenAI's own client, which the server is tested with, in the user's cache folder (needs python3)
	python3 -m venv $(CACHE)/tenon/openai && $(CACHE)/tenon/openai/bin/pip install -q -r host/server/clienttest/requirements.txt

assemblyscript: ## install the AssemblyScript compiler that its guests are built with (needs npm)
	cd sdk/assemblyscript && npm ci --no-audit --no-fund --ignore-scripts

proto: ## regenerate the backend contract (needs protoc, protoc-gen-go, protoc-gen-go-grpc)
	cd sdk/backend/backendpb && protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative backend.proto

paper: guests examples/paper/evaluation.json ## write the tables and draw the figures of docs/paper.md again
	$(GO) test -count=1 -run '^TestPaper$$' ./cmd/tenon -args -update

# Made only where it is missing: asking nine models takes ten minutes or more.
examples/paper/evaluation.json:
	$(MAKE) build
	$(BIN)/tenon eval --base examples/restaurant/base $(PAPER:%=--adapter examples/paper/%) \
		--text examples/paper/e2e_test.txt --limit 200 --generate -o json > $@.new
	mv $@.new $@

PAPER := r1-s0 r2-s0 r4-s0 r8-s0 r8-s1 r16-s0 r64-s0 r64-s1

PROMPT := name : Blue Spice | Type : coffee shop | area : riverside ||
SERVE  := $(BIN)/tenon serve --base examples/restaurant/base --adapter restaurant=examples/restaurant/adapter --listen 127.0.0.1:8321 --try "$(PROMPT)"

run: build ## serve examples/restaurant on 127.0.0.1:8321, gated and live, until Ctrl-C
	$(SERVE)

demo: build ## the same, and exit
	$(SERVE) --once

clean: ## remove what was built
	rm -rf $(BIN) $(WASM)

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12
