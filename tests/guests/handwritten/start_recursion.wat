;; A prioritizer as a core module, whose start function runs when it is instantiated.
(module
    (memory (export "memory") 1)
    (table $t 1 funcref)
    ;; Address and length of its name, and the name.
    (data (i32.const 0) "\08\00\00\00\05\00\00\00start")
    (func $start (call $start))
    (start $start)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "name") (result i32) (i32.const 0))
    (func (export "settings") (result i32) (i32.const 256))
    (func (export "compute-priority") (param i32) (result f64) (f64.const 1))
    (func (export "prioritize") (param i32 i32) (result i32) (i32.const 256)))
