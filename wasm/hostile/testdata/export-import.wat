;; A diagnose that is an imported function.
(module
  (import "tenon_v1" "target_count" (func $target_count (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (export "diagnose" (func $target_count))
)
