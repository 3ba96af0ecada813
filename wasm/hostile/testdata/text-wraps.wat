;; A pointer and a length whose sum is 16 in 32 bits.
(module
  (import "tenon_v1" "log" (func $log (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (drop (call $log (i32.const 0xfffffff0) (i32.const 32)))
    i32.const 0
  )
)
