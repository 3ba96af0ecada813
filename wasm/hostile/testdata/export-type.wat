;; A diagnose of another type.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (param i32) (result i64) i64.const 0)
)
