;; A name that is a path.
(module
  (import "tenon_v1" "metric" (func $metric (param i32 i32 i32 i32 f64) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (data (i32.const 0) "../x")
  (func (export "diagnose") (result i32)
    (drop (call $metric (i32.const -1) (i32.const -1) (i32.const 0) (i32.const 4) (f64.const 1)))
    i32.const 0
  )
)
