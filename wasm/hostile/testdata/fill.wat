;; A loop that fills 16 MiB a turn.
(module
  (memory (export "memory") 256)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (loop (memory.fill (i32.const 0) (i32.const 7) (i32.const 16777216)) (br 0))
    i32.const 0
  )
)
