;; A log of 256 MiB.
(module
  (import "tenon_v1" "log" (func $log (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32) (local $i i32)
    (memory.fill (i32.const 0) (i32.const 65) (i32.const 65536))
    (loop (drop (call $log (i32.const 0) (i32.const 65536)))
      (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4096))))
    i32.const 0)
)
