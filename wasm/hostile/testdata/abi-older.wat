;; Built for an ABI that never was.
(module
  (import "tenon_v0" "target_count" (func $target_count (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_0"))
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
