;; wat2wasm --enable-memory64
;; A memory with 64-bit addresses.
(module
  (memory (export "memory") i64 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
