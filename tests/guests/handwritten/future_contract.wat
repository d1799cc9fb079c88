;; Built for a contract that does not exist yet.
(component
    (import "pgheal:policy/types@0.9.0" (instance)))
