;; Growing to 4 GiB gives -1, and the result is 1.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (i32.sub (i32.const 0) (memory.grow (i32.const 65535)))
  )
)
