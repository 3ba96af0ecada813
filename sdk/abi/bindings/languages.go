package main

import (
	"fmt"

	"github.com/tenon-ml/tenon/sdk/abi"
)

var (
	cTypes    = map[abi.ValueType]string{abi.I32: "int32_t", abi.I64: "int64_t", abi.F64: "double"}
	wasmTypes = map[abi.ValueType]string{abi.I32: "i32", abi.I64: "i64", abi.F64: "f64"} // in Rust as in AssemblyScript
)

func wasmParameter(p parameter) string { return p.name + ": " + wasmTypes[p.kind] }

// rustField is snake, but for the keyword in.
func rustField(name string) string {
	if name == "In" {
		return "in_"
	}
	return snake(name)
}

// writeC writes a header that a freestanding compiler can read.
func writeC(p *page) {
	p.line("// %s", generated)
	p.line("//")
	p.line("// The functions of %s as a guest imports them, its constants and its structs. A pointer is a number", abi.Module)
	p.line("// here; tenon.h has functions that take pointers. What each function does is told in sdk/abi/ABI.md.")
	p.line("")
	p.line("#ifndef TENON_IMPORTS_H")
	p.line("#define TENON_IMPORTS_H")
	p.line("")
	p.line("#include <stddef.h>")
	p.line("#include <stdint.h>")
	p.line("")
	p.line("#ifdef __cplusplus")
	p.line("extern \"C\" {")
	p.line("#define TENON_STATIC_ASSERT static_assert")
	p.line("#else")
	p.line("#define TENON_STATIC_ASSERT _Static_assert")
	p.line("#endif")
	p.line("")
	p.line("#ifdef __wasm__")
	p.line("#define TENON_IMPORT(name) __attribute__((import_module(%q), import_name(name)))", abi.Module)
	p.line("#else")
	p.line("#define TENON_IMPORT(name) // a test defines these functions itself")
	p.line("#endif")
	for _, group := range abi.Constants {
		p.line("")
		p.comment("//", group.Doc)
		p.line("enum {")
		for _, c := range group.Constants {
			p.line("\tTENON_%s_%s = %d, // %s", group.Prefix, c.Name, c.Value, c.Doc)
		}
		p.line("};")
	}
	for _, s := range abi.Structs {
		name := "tenon_" + snake(s.Name)
		p.line("")
		p.comment("//", s.Doc)
		p.line("typedef struct %s {", name)
		for _, f := range s.Fields {
			p.line("\t%s %s; // offset %d: %s", cTypes[f.Type], snake(f.Name), f.Offset, f.Doc)
		}
		p.line("} %s;", name)
		p.line("")
		p.line("enum { TENON_%s_SIZE = %d };", scream(s.Name), s.Size)
		p.line("TENON_STATIC_ASSERT(sizeof(%s) == %d, \"the size of %s\");", name, s.Size, name)
		for _, f := range s.Fields {
			p.line("TENON_STATIC_ASSERT(offsetof(%s, %s) == %d, \"the offset of %s\");", name, snake(f.Name), f.Offset, snake(f.Name))
		}
	}
	for _, f := range abi.Functions {
		params := signature(f, func(v parameter) string { return cTypes[v.kind] + " " + v.name })
		if len(params) == 0 {
			params = []string{"void"}
		}
		p.line("")
		p.comment("//", explain(f))
		p.line("TENON_IMPORT(%q)", f.Name)
		p.declare("", fmt.Sprintf("int32_t %s_%s(", abi.Module, f.Name), params, ");")
	}
	p.line("")
	p.line("#ifdef __cplusplus")
	p.line("}")
	p.line("#endif")
	p.line("")
	p.line("#endif")
}

// writeRust writes a module without dependencies that a native build can read too.
func writeRust(p *page) {
	p.line("// %s", generated)
	p.line("")
	p.line("//! The functions of %s as a guest imports them, its constants and its structs. A pointer is a", abi.Module)
	p.line("//! number here; the crate has functions that take references. What each function does is told in")
	p.line("//! sdk/abi/ABI.md.")
	for _, group := range abi.Constants {
		p.line("")
		p.comment("//", group.Doc)
		for _, c := range group.Constants {
			p.line("/// %s", c.Doc)
			p.line("pub const %s_%s: i32 = %d;", group.Prefix, c.Name, c.Value)
		}
	}
	for _, s := range abi.Structs {
		p.line("")
		p.comment("///", s.Doc)
		p.line("#[repr(C)]")
		p.line("#[derive(Clone, Copy, Debug, Default, PartialEq)]")
		p.line("pub struct %s {", s.Name)
		for _, f := range s.Fields {
			p.line("    /// Offset %d: %s.", f.Offset, f.Doc)
			p.line("    pub %s: %s,", rustField(f.Name), wasmTypes[f.Type])
		}
		p.line("}")
		p.line("")
		p.line("/// Bytes of a [`%s`].", s.Name)
		p.line("pub const %s_SIZE: usize = %d;", scream(s.Name), s.Size)
		p.line("const _: () = assert!(core::mem::size_of::<%s>() == %d);", s.Name, s.Size)
		for _, f := range s.Fields {
			p.line("/// Offset of `%s` in a [`%s`].", rustField(f.Name), s.Name)
			p.line("pub const %s_%s: usize = %d;", scream(s.Name), scream(f.Name), f.Offset)
		}
	}
	p.line("")
	p.line("#[cfg_attr(target_arch = \"wasm32\", link(wasm_import_module = %q))]", abi.Module)
	p.line("extern \"C\" {")
	for i, f := range abi.Functions {
		if i > 0 {
			p.line("")
		}
		p.comment("    ///", "`"+explain(f)+"`")
		p.declare("    ", "pub fn "+f.Name+"(", signature(f, wasmParameter), ") -> i32;")
	}
	p.line("}")
}

// writeAssemblyScript writes a module whose structs are unmanaged: a reference to one is a pointer to its bytes.
func writeAssemblyScript(p *page) {
	p.line("// %s", generated)
	p.line("//")
	p.line("// The functions of %s as a guest imports them, its constants and its structs. A pointer is a number", abi.Module)
	p.line("// here; index.ts has functions that take strings and arrays. What each function does is told in sdk/abi/ABI.md.")
	for _, group := range abi.Constants {
		p.line("")
		p.comment("//", group.Doc)
		for _, c := range group.Constants {
			p.line("/** %s */", c.Doc)
			p.line("export const %s_%s: i32 = %d;", group.Prefix, c.Name, c.Value)
		}
	}
	for _, s := range abi.Structs {
		p.line("")
		p.comment("//", s.Doc)
		p.line("@unmanaged")
		p.line("export class %s {", s.Name)
		for _, f := range s.Fields {
			p.line("  /** Offset %d: %s. */", f.Offset, f.Doc)
			p.line("  %s: %s;", camel(f.Name), wasmTypes[f.Type])
		}
		p.line("}")
		p.line("")
		p.line("/** Bytes of a %s. */", s.Name)
		p.line("export const %s_SIZE: i32 = %d;", scream(s.Name), s.Size)
		for _, f := range s.Fields {
			p.line("/** Offset of %s in a %s. */", camel(f.Name), s.Name)
			p.line("export const %s_%s: i32 = %d;", scream(s.Name), scream(f.Name), f.Offset)
		}
	}
	for _, f := range abi.Functions {
		p.line("")
		p.comment("//", explain(f))
		p.line("// @ts-ignore: decorator")
		p.line("@external(%q, %q)", abi.Module, f.Name)
		p.declare("", "export declare function "+f.Name+"(", signature(f, wasmParameter), "): i32;")
	}
}
