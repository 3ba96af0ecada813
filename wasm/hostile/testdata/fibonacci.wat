;; The 70th Fibonacci number by recursion: no loop, and no end for ages.
(module
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (func $fib (param i32) (result i32)
    (if (result i32) (i32.lt_s (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func (export "diagnose") (result i32)
    (drop (call $fib (i32.const 70)))
    i32.const 0
  )
)
