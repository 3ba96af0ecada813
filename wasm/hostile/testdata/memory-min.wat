;; A memory of 1 GiB from the start.
(module
  (memory (export "memory") 16384)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
