;; A function of the ABI with another type.
(module
  (import "tenon_v1" "tensor_drop" (func $tensor_drop (param i64) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
