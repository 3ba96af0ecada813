;; Uses up every budget there is, and goes on.
(module
  (import "tenon_v1" "log" (func $log (param i32 i32) (result i32)))
  (import "tenon_v1" "tensor_put_f64" (func $tensor_put_f64 (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func $down (param i32) (result i32)
    (drop (memory.grow (i32.const 1)))
    (drop (call $log (i32.const 0) (i32.const 65536)))
    (drop (call $tensor_put_f64 (i32.const 0) (i32.const 64) (i32.const 64)))
    (local.get 0))
  (func (export "diagnose") (result i32)
    (loop (drop (call $down (i32.const 1))) (br 0))
    i32.const 0
  )
)
