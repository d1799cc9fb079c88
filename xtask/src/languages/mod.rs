//! Builds the policies that are written in other languages than Rust, with those languages' own tools.

mod javascript;
mod python;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::tool::{REQUIRED, Tools, Unavailable, is_required};

/// Where the examples are built to. Not among the policies that are served by default: each carries its language's
/// runtime along, and takes long to compile.
pub const EXAMPLES: &str = "target/policies-examples";
/// Where the ones that misbehave for the tests are built to, beside those in Rust.
const TEST_POLICIES: &str = "target/test-policies";
/// The tools themselves, and what the components were made of.
const WORK: &str = "target/languages";

/// A policy in one source file.
struct Source {
    file: &'static str,
    component: &'static str,
}

/// A language: its tools, and its policies.
struct Language {
    name: &'static str,
    tools: Tools,
    example: Source,
    misbehaving: Source,
    componentize: fn(&Build) -> Result<()>,
}

/// One component to make.
struct Build<'a> {
    tools: &'a Path,
    wit: &'a Path,
    source: &'a Path,
    output: &'a Path,
}

const LANGUAGES: [Language; 2] = [javascript::LANGUAGE, python::LANGUAGE];

/// Builds what has changed. A language whose tools are not there is left out, with a line that says so.
///
/// # Errors
/// Where a policy cannot be built though the tools are there, or imports anything but the contract; and for a
/// language that is not there, where `PGHEAL_REQUIRE_LANGUAGES` is 1.
pub fn build(workspace: &Path) -> Result<()> {
    thread::scope(|scope| {
        let builds = LANGUAGES.each_ref().map(|language| scope.spawn(move || language.build(workspace)));
        for (language, build) in LANGUAGES.iter().zip(builds) {
            let outcome = build.join().unwrap_or_else(|_| bail!("its build panicked"));
            outcome.with_context(|| format!("the policies in {}", language.name))?;
        }
        Ok(())
    })
}

impl Language {
    fn build(&self, workspace: &Path) -> Result<()> {
        let tools = workspace.join(WORK).join(self.name.to_lowercase());
        let outputs = [
            (&self.example, workspace.join(EXAMPLES).join(self.example.component)),
            (&self.misbehaving, workspace.join(TEST_POLICIES).join(self.misbehaving.component)),
        ];
        if let Err(Unavailable(reason)) = self.tools.provide(workspace, &tools) {
            ensure!(!is_required(), "{reason}, and {REQUIRED} is 1");
            eprintln!("the policies in {} are not built: {reason}", self.name);
            // An old one would not be what the sources say.
            for (_, output) in &outputs {
                let _ = fs::remove_file(output);
            }
            return Ok(());
        }
        for (source, output) in &outputs {
            self.component(workspace, &tools, source, output).with_context(|| source.file.to_owned())?;
        }
        Ok(())
    }

    /// Makes the component, unless it was made of the same before.
    fn component(&self, workspace: &Path, tools: &Path, source: &Source, output: &Path) -> Result<()> {
        let wit = workspace.join("wit/policy.wit");
        let path = workspace.join(source.file);
        let mut inputs = Vec::new();
        for file in self.tools.pins.iter().map(|pin| tools.join(pin)).chain([wit.clone(), path.clone()]) {
            inputs.extend(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
        }
        let made_of = workspace.join(WORK).join(format!("{}.inputs", source.component));
        if output.exists() && fs::read(&made_of).is_ok_and(|known| known == inputs) {
            return Ok(());
        }
        let parent = output.parent().context("a component needs a directory")?;
        fs::create_dir_all(parent)?;
        let unfinished = unfinished(output);
        let build = Build { tools, wit: &wit, source: &path, output: &unfinished };
        let made = (self.componentize)(&build)
            .and_then(|()| pgheal_guest_build::check_imports(&fs::read(&unfinished)?))
            .and_then(|()| Ok(fs::rename(&unfinished, output)?));
        if made.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        made?;
        fs::write(&made_of, inputs)?;
        Ok(())
    }
}

/// Beside the component, under a name that nobody takes for a policy.
fn unfinished(output: &Path) -> PathBuf {
    output.with_extension(format!("{}.tmp", std::process::id()))
}
