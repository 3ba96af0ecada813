package modules

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Open reads a module that does not ship with Tenon: the guest NAME.wasm and beside it the manifest NAME.json. path is NAME.wasm or NAME.
// Both are regular files, or links to some: who pins digests loses nothing by a link, and mounted configuration consists of them. Nothing of
// the guest is run or compiled, and whether it is WebAssembly at all is not asked.
func Open(path string) (Module, error) {
	name := strings.TrimSuffix(path, ".wasm")
	wasm, err := readRegular(name+".wasm", maxGuest)
	if err != nil {
		return Module{}, fmt.Errorf("guest %w", err)
	}
	text, err := readRegular(name+".json", maxManifest)
	if err != nil {
		return Module{}, fmt.Errorf("manifest %w", err)
	}
	return assemble(name, wasm, text)
}

// assemble makes a module of the bytes of its files.
func assemble(name string, wasm, text []byte) (Module, error) {
	m := Module{Wasm: wasm, SHA256: sha256.Sum256(wasm), ManifestSHA256: sha256.Sum256(text), File: name + ".wasm"}
	var err error
	if m.Manifest, err = parse(text); err == nil {
		err = agree(m.Manifest, m.SHA256)
	}
	if err == nil && m.Manifest.Guest != "" {
		err = fmt.Errorf("it names the guest %q: only modules that ship with Tenon share one", m.Manifest.Guest)
	}
	if err != nil {
		return Module{}, fmt.Errorf("manifest %s: %w", name+".json", err)
	}
	return m, nil
}

// readRegular reads a regular file of at most limit bytes. Opening a FIFO with O_NONBLOCK does not wait for its writer.
func readRegular(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return content, nil
}
