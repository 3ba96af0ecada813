;; A table that grows until nobody gives it more, beside the memory of the module.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (table $t 1 funcref)
  (func (export "diagnose") (result i32)
    (loop
      (br_if 0 (i32.ge_s (table.grow $t (ref.null func) (i32.const 33554432)) (i32.const 0))))
    i32.const 0
  )
)
