// Command pack compresses a guest for embedding. The same guest gives the same bytes on every machine.
//
//	pack IN.wasm OUT.wasm.zst
package main

import (
	"fmt"
	"os"

	"github.com/klauspost/compress/zstd"
)

func main() {
	if err := pack(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: pack IN.wasm OUT.wasm.zst")
	}
	wasm, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	return os.WriteFile(args[1], encoder.EncodeAll(wasm, nil), 0o644)
}
