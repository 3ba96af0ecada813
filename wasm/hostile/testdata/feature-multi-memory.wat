;; wat2wasm --enable-multi-memory
;; Two memories.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (memory 1)
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
