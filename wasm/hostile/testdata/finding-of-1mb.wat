;; A message of 1 MiB.
(module
  (import "tenon_v1" "finding" (func $finding (param i32 i32 i32 i32 i32 i32 i32 i32 f64 f64) (result i32)))
  (memory (export "memory") 17)
  (func (export "tenon_abi_1"))
  (data (i32.const 0) "CODE")
  (func (export "diagnose") (result i32)
    (memory.fill (i32.const 16) (i32.const 65) (i32.const 1048576))
    (drop (call $finding (i32.const -1) (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 1048576) (i32.const 16) (i32.const 1048576) (f64.const 0) (f64.const nan)))
    i32.const 0
  )
)
