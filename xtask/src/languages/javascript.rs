use std::process::Command;

use anyhow::Result;

use super::{Build, Language, Source};
use crate::tool::{self, Tools};

/// componentize-js: the SpiderMonkey engine with the source read and its top level run already.
pub const LANGUAGE: Language = Language {
    name: "JavaScript",
    tools: Tools {
        what: "the tools for policies in JavaScript",
        needs: &["node", "npm"],
        package: "strategies/javascript-rebuild",
        pins: &["package.json", "package-lock.json", ".npmrc"],
        // The tools need none of their packages' install scripts.
        install: |tools| tool::fetch(Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(tools)),
        works: None,
    },
    example: Source {
        file: "strategies/javascript-rebuild/javascript_rebuild.js",
        component: "javascript_rebuild.wasm",
    },
    misbehaving: Source { file: "tests/languages/javascript/misbehaving.js", component: "javascript_misbehaving.wasm" },
    componentize,
};

fn componentize(build: &Build) -> Result<()> {
    tool::run(
        Command::new("node")
            .arg(build.tools.join("node_modules/@bytecodealliance/componentize-js/src/cli.js"))
            .arg(build.source)
            .args(["--world-name", "strategy", "--wit"])
            .arg(build.wit)
            .arg("--out")
            .arg(build.output)
            // All that would import something of WASI.
            .args(["--disable", "stdio", "random", "clocks", "http", "fetch-event"]),
    )
}
