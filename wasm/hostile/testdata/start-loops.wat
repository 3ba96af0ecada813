;; A start function that never ends.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func $start (loop (br 0)))
  (start $start)
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
