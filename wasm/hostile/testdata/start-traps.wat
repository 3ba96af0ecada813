;; A start function that traps.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func $start unreachable)
  (start $start)
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
