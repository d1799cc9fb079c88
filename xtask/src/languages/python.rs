use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::tool::Unavailable;
use super::{Build, Language, Source, tool};

/// componentize-py: CPython with its libraries and the source imported already.
pub const LANGUAGE: Language = Language {
    name: "Python",
    needs: &["python3 -m pip"],
    package: "strategies/python-reinsert",
    pins: &["requirements.txt"],
    example: Source { file: "strategies/python-reinsert/python_reinsert.py", component: "python_reinsert.wasm" },
    misbehaving: Source { file: "tests/languages/python/misbehaving.py", component: "python_misbehaving.wasm" },
    install,
    componentize,
};

fn install(tools: &Path) -> Result<(), Unavailable> {
    tool::fetch(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--only-binary=:all:", "--require-hashes", "--target", "packages", "--requirement"])
            .arg("requirements.txt")
            .current_dir(tools),
    )
}

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
