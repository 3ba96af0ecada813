;; Arguments, environment and open directories: there are none. The result is the sum of their counts, and 0.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (drop (call $environ_sizes_get (i32.const 8) (i32.const 12)))
    (i32.add
      (i32.add (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 4))) (i32.add (i32.load (i32.const 8)) (i32.load (i32.const 12))))
      (i32.eqz (call $fd_prestat_get (i32.const 3) (i32.const 16))))
  )
)
