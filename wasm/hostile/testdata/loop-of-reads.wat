;; A loop whose every turn is a long host call: reading the whole factor.
(module
  (import "tenon_v1" "target_info" (func $target_info (param i32 i32) (result i32)))
  (import "tenon_v1" "tensor_read_f64" (func $tensor_read_f64 (param i32 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (drop (call $target_info (i32.const 0) (i32.const 64)))
    (loop (drop (call $tensor_read_f64 (i32.load (i32.const 64)) (i64.const 0) (i32.const 256) (i32.const 32))) (br 0))
    i32.const 0
  )
)
