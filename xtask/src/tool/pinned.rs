use std::fs;
use std::path::Path;

use super::{Unavailable, check};

/// Tools in exactly the versions that files in the repository say.
pub struct Tools {
    /// As people call them.
    pub what: &'static str,
    /// Programs that have to be there before anything is fetched.
    pub needs: &'static [&'static str],
    /// Holds `pins`.
    pub package: &'static str,
    /// The files that say which tools, exactly.
    pub pins: &'static [&'static str],
    /// Fetches them into a directory that holds `pins`.
    pub install: fn(&Path) -> Result<(), Unavailable>,
    /// Whether what was fetched can be used here, where that depends on more than `pins`.
    pub works: Option<fn(&Path) -> bool>,
}

impl Tools {
    /// Makes sure that they are in `directory`, which is theirs alone.
    pub fn provide(&self, workspace: &Path, directory: &Path) -> Result<(), Unavailable> {
        for program in self.needs {
            check(program)?;
        }
        let package = workspace.join(self.package);
        let pinned = self.pins.iter().all(|pin| {
            let (wanted, found) = (fs::read(package.join(pin)), fs::read(directory.join(pin)));
            matches!((wanted, found), (Ok(wanted), Ok(found)) if wanted == found)
        });
        let installed = directory.join("installed");
        let works = || self.works.is_none_or(|works| works(directory));
        if pinned && installed.exists() && works() {
            return Ok(());
        }
        eprintln!("fetching {} ...", self.what);
        let prepare = || -> std::io::Result<()> {
            if directory.exists() {
                fs::remove_dir_all(directory)?;
            }
            fs::create_dir_all(directory)?;
            for pin in self.pins {
                fs::copy(package.join(pin), directory.join(pin))?;
            }
            Ok(())
        };
        prepare().map_err(|error| Unavailable(format!("{}: {error}", directory.display())))?;
        (self.install)(directory)?;
        if !works() {
            return Err(Unavailable(format!("{} cannot be used here", self.what)));
        }
        fs::write(&installed, "").map_err(|error| Unavailable(error.to_string()))
    }
}
