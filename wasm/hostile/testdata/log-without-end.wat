;; A log of 64 KiB again and again, through WASI.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (data (i32.const 0) "\10\00\00\00\00\ff\00\00")
  (func (export "diagnose") (result i32)
    (memory.fill (i32.const 16) (i32.const 65) (i32.const 65280))
    (loop (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br 0))
    i32.const 0
  )
)
