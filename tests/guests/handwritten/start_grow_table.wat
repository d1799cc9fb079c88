;; A prioritizer by its exports, whose start function runs when it is instantiated.
(component
    (import "pgheal:policy/types@0.1.0" (instance))
    (core module $m
        (memory 1)
        (table $t 1 funcref)
        (func $start (loop $l (drop (table.grow $t (ref.null func) (i32.const 10000))) (br $l)))
        (func (export "f"))
        (start $start))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (export "name" (func $f))
    (export "settings" (func $f))
    (export "compute-priority" (func $f))
    (export "prioritize" (func $f)))
