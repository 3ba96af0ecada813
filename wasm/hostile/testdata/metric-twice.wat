;; The same metric twice, the second time better.
(module
  (import "tenon_v1" "metric" (func $metric (param i32 i32 i32 i32 f64) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (data (i32.const 0) "score")
  (func (export "diagnose") (result i32)
    (drop (call $metric (i32.const -1) (i32.const -1) (i32.const 0) (i32.const 5) (f64.const 9)))
    (drop (call $metric (i32.const -1) (i32.const -1) (i32.const 0) (i32.const 5) (f64.const 0)))
    i32.const 0
  )
)
