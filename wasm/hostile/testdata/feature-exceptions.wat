;; wat2wasm --enable-exceptions
;; Exceptions.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    try (result i32)
      i32.const 0
    catch_all
      i32.const 0
    end
  )
)
