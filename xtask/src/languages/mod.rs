//! Builds the policies that are written in other languages than Rust, with those languages' own tools.

mod javascript;
mod python;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use tool::Unavailable;

/// Where the examples are built to. Not among the policies that are served by default: each carries its language's
/// runtime along, and takes long to compile.
pub const EXAMPLES: &str = "target/policies-examples";
/// Where the ones that misbehave for the tests are built to, beside those in Rust.
const TEST_POLICIES: &str = "target/test-policies";
/// The tools themselves, and what the components were made of.
const WORK: &str = "target/languages";
/// Set to 1 where a language that is not there is a failure and not a reason to go on without it.
const REQUIRED: &str = "PGHEAL_REQUIRE_LANGUAGES";

/// A policy in one source file.
struct Source {
    file: &'static str,
    component: &'static str,
}

/// A language: its tools, and its policies.
struct Language {
    name: &'static str,
    /// What has to be there to build at all.
    needs: &'static [&'static str],
    /// Holds `pins`.
    package: &'static str,
    /// The files that say which tools are used, exactly.
    pins: &'static [&'static str],
    example: Source,
    misbehaving: Source,
    install: fn(&Path) -> Result<(), Unavailable>,
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
    let required = std::env::var(REQUIRED).is_ok_and(|value| value == "1");
    thread::scope(|scope| {
        let builds = LANGUAGES.each_ref().map(|language| scope.spawn(move || language.build(workspace, required)));
        for (language, build) in LANGUAGES.iter().zip(builds) {
            let outcome = build.join().unwrap_or_else(|_| bail!("its build panicked"));
            outcome.with_context(|| format!("the policies in {}", language.name))?;
        }
        Ok(())
    })
}

impl Language {
    fn build(&self, workspace: &Path, required: bool) -> Result<()> {
        let tools = workspace.join(WORK).join(self.name.to_lowercase());
        let outputs = [
            (&self.example, workspace.join(EXAMPLES).join(self.example.component)),
            (&self.misbehaving, workspace.join(TEST_POLICIES).join(self.misbehaving.component)),
        ];
        if let Err(Unavailable(reason)) = self.tools(workspace, &tools) {
            ensure!(!required, "{reason}, and {REQUIRED} is 1");
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

    /// Makes sure of the tools, in the pinned versions.
    fn tools(&self, workspace: &Path, tools: &Path) -> Result<(), Unavailable> {
        for program in self.needs {
            tool::check(program)?;
        }
        let package = workspace.join(self.package);
        let pinned = self.pins.iter().all(|pin| {
            let (wanted, found) = (fs::read(package.join(pin)), fs::read(tools.join(pin)));
            matches!((wanted, found), (Ok(wanted), Ok(found)) if wanted == found)
        });
        let installed = tools.join("installed");
        if pinned && installed.exists() {
            return Ok(());
        }
        eprintln!("fetching the tools for policies in {} ...", self.name);
        let prepare = || -> std::io::Result<()> {
            if tools.exists() {
                fs::remove_dir_all(tools)?;
            }
            fs::create_dir_all(tools)?;
            for pin in self.pins {
                fs::copy(package.join(pin), tools.join(pin))?;
            }
            Ok(())
        };
        prepare().map_err(|error| Unavailable(format!("{}: {error}", tools.display())))?;
        (self.install)(tools)?;
        fs::write(&installed, "").map_err(|error| Unavailable(error.to_string()))
    }

    /// Makes the component, unless it was made of the same before.
    fn component(&self, workspace: &Path, tools: &Path, source: &Source, output: &Path) -> Result<()> {
        let wit = workspace.join("wit/policy.wit");
        let path = workspace.join(source.file);
        let mut inputs = Vec::new();
        for file in self.pins.iter().map(|pin| tools.join(pin)).chain([wit.clone(), path.clone()]) {
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
