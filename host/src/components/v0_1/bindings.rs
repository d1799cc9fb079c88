//! The contract of `wit/policy.wit` as the host sees it, generated. Both worlds share types and log.

pub mod strategy {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "strategy",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

pub mod prioritizer {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "prioritizer",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "pgheal:policy/types": super::strategy::pgheal::policy::types,
            "pgheal:policy/log": super::strategy::pgheal::policy::log,
            "pgheal:policy/settings": super::strategy::pgheal::policy::settings,
        },
    });
}
