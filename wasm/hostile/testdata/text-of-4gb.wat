;; A text of 4 GiB.
(module
  (import "tenon_v1" "log" (func $log (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (drop (call $log (i32.const 0) (i32.const -1)))
    i32.const 0
  )
)
