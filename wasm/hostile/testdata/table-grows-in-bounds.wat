;; A table that says how far it grows gets so far, and then -1, which is the result here, negated.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (table $t 1 1000 funcref)
  (func (export "diagnose") (result i32)
    (drop (table.grow $t (ref.null func) (i32.const 999)))
    (i32.sub (i32.const 0) (table.grow $t (ref.null func) (i32.const 1)))
  )
)
