use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};

/// No password, key or certificate chain is larger.
const LARGEST_BYTES: u64 = 1 << 20;

/// Reads a file that only its owner and group may read.
///
/// # Errors
/// It cannot be read, is too large, or others may read it.
pub fn secret_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mode = file.metadata()?.permissions().mode();
    ensure!(mode & 0o007 == 0, "{} can be read by everybody: chmod 600 it", path.display());
    read(file, path)
}

/// Reads a file that is no secret.
///
/// # Errors
/// It cannot be read, or is too large.
pub fn public_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    read(file, path)
}

/// A password from a file, or from the environment.
///
/// # Errors
/// There is none, or an empty one.
pub fn password(file: Option<&Path>, variable: Option<&str>) -> anyhow::Result<String> {
    let password = match (file, variable) {
        (Some(path), _) => {
            let text = String::from_utf8(secret_file(path)?)
                .ok()
                .with_context(|| format!("{} does not hold UTF-8 text", path.display()))?;
            text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text)).to_owned()
        }
        (None, Some(name)) => {
            std::env::var(name).ok().with_context(|| format!("the environment variable {name} is not set"))?
        }
        (None, None) => bail!("neither password_env nor password_file"),
    };
    ensure!(!password.is_empty(), "the password is empty");
    Ok(password)
}

fn read(file: File, path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LARGEST_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
    ensure!(bytes.len() as u64 <= LARGEST_BYTES, "{} is larger than {LARGEST_BYTES} bytes", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, content: &str, mode: u32, expected: Result<&str, &str>) {
        let path = std::env::temp_dir().join(format!("pgheal-secret-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let found = password(Some(&path), None);
        std::fs::remove_file(&path).unwrap();
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(part)) => assert!(format!("{error:#}").contains(part), "{error:#}"),
            (found, expected) => panic!("{name}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_password_is_a_line_that_only_its_owner_reads() {
        check("plain", "s3cret", 0o600, Ok("s3cret"));
        check("line", "s3cret \n", 0o640, Ok("s3cret "));
        check("open", "s3cret", 0o644, Err("chmod 600"));
        check("empty", "\n", 0o600, Err("empty"));
        assert!(password(None, Some("PGHEAL_NO_SUCH_VARIABLE")).is_err());
    }
}
