//! The contract of `wit/policy.wit`, generated. Both worlds share their types.

// Generated code hands a record over field by field.
#![allow(clippy::too_many_arguments)]

pub mod strategy {
    wit_bindgen::generate!({
        path: "../wit",
        world: "strategy",
        pub_export_macro: true,
        export_macro_name: "export_strategy_world",
        default_bindings_module: "pgheal_guest_sdk::bindings::strategy",
        additional_derives: [PartialEq],
        generate_unused_types: true,
    });
}

pub mod prioritizer {
    wit_bindgen::generate!({
        path: "../wit",
        world: "prioritizer",
        pub_export_macro: true,
        export_macro_name: "export_prioritizer_world",
        default_bindings_module: "pgheal_guest_sdk::bindings::prioritizer",
        additional_derives: [PartialEq],
        with: {
            "pgheal:policy/types@0.1.0": crate::bindings::strategy::pgheal::policy::types,
            "pgheal:policy/log@0.1.0": crate::bindings::strategy::pgheal::policy::log,
            "pgheal:policy/settings@0.1.0": crate::bindings::strategy::pgheal::policy::settings,
        },
    });
}
