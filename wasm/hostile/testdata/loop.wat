;; A loop without end.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (loop (br 0))
    i32.const 0
  )
)
