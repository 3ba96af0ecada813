;; A grid of 65535 x 65536 numbers, which is over the quota; then one within it that is not in memory.
(module
  (import "tenon_v1" "grid" (func $grid (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (data (i32.const 0) "g")
  (func (export "diagnose") (result i32)
    (drop (call $grid (i32.const -1) (i32.const -1) (i32.const 0) (i32.const 1) (i32.const 65535) (i32.const 65536) (i32.const 8)))
    (drop (call $grid (i32.const -1) (i32.const -1) (i32.const 0) (i32.const 1) (i32.const 128) (i32.const 64) (i32.const 8)))
    i32.const 0
  )
)
