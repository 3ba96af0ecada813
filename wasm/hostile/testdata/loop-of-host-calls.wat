;; A loop of host calls, which goes on when their budget is used up.
(module
  (import "tenon_v1" "target_count" (func $target_count (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (loop (drop (call $target_count)) (br 0))
    i32.const 0
  )
)
