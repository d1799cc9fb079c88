use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Build, Language, Source};
use crate::tool::{self, Tools};

/// componentize-py: CPython with its libraries and the source imported already.
pub const LANGUAGE: Language = Language {
    name: "Python",
    tools: Tools {
        what: "the tools for policies in Python",
        needs: &["python3 -m pip"],
        package: "strategies/python-reinsert",
        pins: &["requirements.txt"],
        install: tool::pip_install,
        works: None,
    },
    example: Source { file: "strategies/python-reinsert/python_reinsert.py", component: "python_reinsert.wasm" },
    misbehaving: Source { file: "tests/languages/python/misbehaving.py", component: "python_misbehaving.wasm" },
    componentize,
};

fn componentize(build: &Build) -> Result<()> {
    let file = build.source.file_name().context("a source has a name")?;
    let module = build.source.file_stem().context("a source has a name")?;
    // Apart from the sources: Python writes what it has compiled beside the module that it imports.
    let directory = build.tools.join("module").join(module);
    fs::create_dir_all(&directory)?;
    fs::copy(build.source, directory.join(file))?;
    tool::run(
        Command::new("python3")
            // The program that the package installs, without its shebang, which holds the path of one Python.
            .args(["-c", "from componentize_py import script; script()"])
            .args(["--quiet", "--world", "strategy", "--wit-path"])
            .arg(build.wit)
            .arg("componentize")
            .arg(module)
            .arg("--python-path")
            .arg(&directory)
            // Whatever of WASI the runtime uses traps.
            .arg("--stub-wasi")
            .arg("--output")
            .arg(build.output)
            .env("PYTHONPATH", build.tools.join("packages"))
            .env_remove("VIRTUAL_ENV"),
    )
}
