;; Severities that no module may set, and a target and a peer of somebody else. The result counts what was refused: 4 of 4.
(module
  (import "tenon_v1" "finding" (func $finding (param i32 i32 i32 i32 i32 i32 i32 i32 f64 f64) (result i32)))
  (import "tenon_v1" "metric" (func $metric (param i32 i32 i32 i32 f64) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (data (i32.const 0) "CODE")
  (data (i32.const 16) "text")
  (func (export "diagnose") (result i32)
    (i32.add
      (i32.add (i32.lt_s (call $finding (i32.const -1) (i32.const 3) (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (f64.const 0) (f64.const nan)) (i32.const 0))
        (i32.lt_s (call $finding (i32.const -1) (i32.const -1) (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (f64.const 0) (f64.const nan)) (i32.const 0)))
      (i32.add (i32.lt_s (call $finding (i32.const 7) (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 4) (i32.const 16) (i32.const 4) (f64.const 0) (f64.const nan)) (i32.const 0))
        (i32.lt_s (call $metric (i32.const 0) (i32.const 9) (i32.const 16) (i32.const 4) (f64.const 1)) (i32.const 0))))
  )
)
