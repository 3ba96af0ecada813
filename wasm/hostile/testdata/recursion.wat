;; Recursion without end.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func $down (call $down))
  (func (export "diagnose") (result i32)
    call $down
    i32.const 0
  )
)
