;; A text that ends one byte outside memory.
(module
  (import "tenon_v1" "log" (func $log (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (drop (call $log (i32.const 65533) (i32.const 4)))
    i32.const 0
  )
)
