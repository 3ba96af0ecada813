;; A million findings. The result is how many were refused, in thousands.
(module
  (import "tenon_v1" "finding" (func $finding (param i32 i32 i32 i32 i32 i32 i32 i32 f64 f64) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (data (i32.const 0) "CODE")
  (func (export "diagnose") (result i32) (local $i i32) (local $refused i32)
    (loop
      (if (i32.lt_s (call $finding (i32.const -1) (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (f64.const 0) (f64.const nan)) (i32.const 0))
        (then (local.set $refused (i32.add (local.get $refused) (i32.const 1)))))
      (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
    (i32.div_u (local.get $refused) (i32.const 1000)))
)
