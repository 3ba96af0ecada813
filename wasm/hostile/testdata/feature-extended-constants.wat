;; wat2wasm --enable-extended-const
;; Arithmetic in the value of a global.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (global i32 (i32.add (i32.const 1) (i32.const 2)))
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
