;; Tensors put and never dropped until there is no more room; the result is 6, for quota.
(module
  (import "tenon_v1" "tensor_put_f64" (func $tensor_put_f64 (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32) (local $r i32)
    (loop (br_if 0 (i32.ge_s (local.tee $r (call $tensor_put_f64 (i32.const 0) (i32.const 64) (i32.const 128))) (i32.const 0))))
    (i32.sub (i32.const 0) (local.get $r)))
)
