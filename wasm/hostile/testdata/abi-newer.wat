;; Built for a later ABI.
(module
  (import "tenon_v2" "target_count" (func $target_count (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_2"))
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
