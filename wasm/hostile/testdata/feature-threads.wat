;; wat2wasm --enable-threads
;; Atomic operations.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (i32.atomic.load (i32.const 0))
  )
)
