;; No diagnose.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
)
