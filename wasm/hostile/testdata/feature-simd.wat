;; SIMD of core WebAssembly 2.0, which is enabled: 1 + 2 + 3 - 6 = 0.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func (export "diagnose") (result i32)
    (i32x4.extract_lane 0 (i32x4.add (v128.const i32x4 1 0 0 0) (i32x4.add (v128.const i32x4 2 0 0 0) (v128.const i32x4 -3 0 0 0))))
  )
)
