// Package sdk carries the sources of the SDKs inside the program, so that `tenon module new` can lay them beside a new module and nothing
// needs to be fetched to build it.
package sdk

import "embed"

// Sources are the SDKs as they lie in this folder: for Go abi, diag and tensor, for the others a folder of their name, and of all of them the reference, abi/ABI.md.
// Tests are among them.
//
//go:embed abi/ABI.md
//go:embed abi/*.go tensor/*.go diag/*.go diag/diagtest/*.go diag/internal/host/*.go
//go:embed c/*.h
//go:embed rust/Cargo.toml rust/src
//go:embed assemblyscript/package.json assemblyscript/assembly
var Sources embed.FS
