;; What the clock and the source of random bytes say, as metrics: the same in every run.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "tenon_v1" "metric" (func $metric (param i32 i32 i32 i32 f64) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (data (i32.const 0) "clock")
  (data (i32.const 8) "random")
  (func (export "diagnose") (result i32)
    (drop (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 64)))
    (drop (call $random_get (i32.const 72) (i32.const 8)))
    (drop (call $metric (i32.const -1) (i32.const -1) (i32.const 0) (i32.const 5) (f64.convert_i64_u (i64.load (i32.const 64)))))
    (drop (call $metric (i32.const -1) (i32.const -1) (i32.const 8) (i32.const 6) (f64.convert_i64_u (i64.load (i32.const 72)))))
    i32.const 0
  )
)
