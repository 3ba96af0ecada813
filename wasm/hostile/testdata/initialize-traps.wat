;; An _initialize that traps two calls deep, which the stack tells.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func $inner unreachable)
  (func (export "_initialize") (call $inner))
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
