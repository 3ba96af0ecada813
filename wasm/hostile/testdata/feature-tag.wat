;; wat2wasm --enable-exceptions
;; A tag of exceptions.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (tag)
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
