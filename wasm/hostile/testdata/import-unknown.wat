;; An import that no host has, and a function that this ABI does not.
(module
  (import "env" "os_exec" (func $os_exec (param i32) (result i32)))
  (import "tenon_v1" "teleport" (func $teleport (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    i32.const 0
  )
)
