;; An _initialize that never ends.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "_initialize") (loop (br 0)))
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
