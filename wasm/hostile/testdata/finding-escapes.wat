;; A finding whose message sets a terminal on fire, and a web page: escape sequences, HTML, line ends, right-to-left.
(module
  (import "tenon_v1" "finding" (func $finding (param i32 i32 i32 i32 i32 i32 i32 i32 f64 f64) (result i32)))
  (memory (export "memory") 1)
  (func (export "tenon_abi_1"))
  (data (i32.const 0) "CODE")
  (data (i32.const 16) "\1b[31mred\1b]0;title\07 <script>alert(1)</script>\0a\0d\e2\80\ae|`](x)")
  (func (export "diagnose") (result i32)
    (drop (call $finding (i32.const -1) (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 55) (i32.const 16) (i32.const 55) (f64.const inf) (f64.const nan)))
    i32.const 0
  )
)
