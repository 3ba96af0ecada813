;; A text that is not UTF-8.
(module
  (import "tenon_v1" "log" (func $log (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (data (i32.const 0) "a\ff\fe")
  (func (export "diagnose") (result i32)
    (drop (call $log (i32.const 0) (i32.const 3)))
    i32.const 0
  )
)
