;; wat2wasm --enable-threads
;; A memory shared between threads.
(module
  (memory (export "memory") 1 2 shared)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
