//! A prioritizer with a world of its own making: it also wants SQL, which no prioritizer is granted.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: r"
        package test:asks-too-much;

        world greedy {
            import pgheal:policy/database@0.1.0;
            use pgheal:policy/types@0.1.0.{issue};

            export name: func() -> string;
            export compute-priority: func(issue: issue) -> f64;
            export prioritize: func() -> u32;
        }
    ",
    world: "test:asks-too-much/greedy",
    generate_all,
});

struct Greedy;

impl Guest for Greedy {
    fn name() -> String {
        "greedy".to_owned()
    }

    fn compute_priority(_issue: Issue) -> f64 {
        match pgheal::policy::database::execute("DELETE FROM items", &[]) {
            Ok(rows) => rows as f64,
            Err(_) => 0.0,
        }
    }

    fn prioritize() -> u32 {
        0
    }
}

export!(Greedy);
