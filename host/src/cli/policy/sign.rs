use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::super::{ExitStatus, policies};
use super::read_component;
use crate::cli::output::{aside, say};
use crate::components::Trust;
use crate::components::trust::{PublicKey, SecretKey, SignatureFile, signature_path};

#[derive(Debug, Args)]
pub struct KeygenCommand {
    /// Where the secret key goes, for this user only; the public key goes to FILE.pub. Nothing is overwritten.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub struct SignCommand {
    /// The component.
    file: PathBuf,
    /// The secret key that `keygen` made.
    #[arg(long, value_name = "KEYFILE")]
    key: PathBuf,
}

#[derive(Debug, Args)]
pub struct VerifyCommand {
    /// The component; its signature lies in FILE.sig.
    file: PathBuf,
    /// A public key (ed25519:...), or a file that holds one.
    #[arg(long, value_name = "PUBKEY", required_unless_present = "config")]
    key: Option<String>,
    /// A configuration whose policies.trusted_keys are tried.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    config: Option<PathBuf>,
}

pub(super) fn keygen(command: &KeygenCommand) -> anyhow::Result<ExitStatus> {
    let mut public_path = command.file.clone().into_os_string();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    for path in [&command.file, &public_path] {
        ensure!(fs::symlink_metadata(path).is_err(), "{} is there already; keys are never overwritten", path.display());
    }
    let key = SecretKey::generate()?;
    key.write(&command.file)?;
    fs::write(&public_path, format!("{}\n", key.public())).with_context(|| public_path.display().to_string())?;
    say!("{}", key.public());
    aside!("secret key: {} (keep it); public key: {}", command.file.display(), public_path.display());
    aside!("to load only what it signs: trusted_keys = [\"{}\"] under [policies] of pgheal.toml", key.public());
    Ok(ExitStatus::Healthy)
}

pub(super) fn sign(command: &SignCommand) -> anyhow::Result<ExitStatus> {
    let bytes = read_component(&command.file)?;
    ensure!(bytes.starts_with(b"\0asm"), "{} is not WebAssembly", command.file.display());
    let key = SecretKey::read(&command.key)?;
    let path = signature_path(&command.file);
    // Other keys' signatures of the same bytes stay.
    let mut signatures = if path.exists() {
        SignatureFile::read(&path).unwrap_or_else(|reason| {
            tracing::warn!("{} is replaced: {reason}", path.display());
            SignatureFile::default()
        })
    } else {
        SignatureFile::default()
    };
    signatures.sign(&key, &bytes);
    let unfinished = path.with_extension(format!("sig.{}.tmp", std::process::id()));
    fs::write(&unfinished, signatures.to_text())
        .and_then(|()| fs::rename(&unfinished, &path))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    say!("{}", path.display());
    Ok(ExitStatus::Healthy)
}

pub(super) fn verify(command: &VerifyCommand) -> anyhow::Result<ExitStatus> {
    let bytes = read_component(&command.file)?;
    let trust = match (&command.key, &command.config) {
        (Some(key), _) => Trust::new(&[PublicKey::find(key)?.to_string()])?,
        (None, Some(path)) => policies::trust(&super::config(Some(path))?)?,
        (None, None) => bail!("neither --key nor --config"),
    };
    ensure!(trust.asks_for_signatures(), "the configuration has no policies.trusted_keys: every component is loaded");
    match trust.signer(&command.file, &bytes) {
        Ok(key) => {
            say!("{}: signed by {key}", command.file.display());
            Ok(ExitStatus::Healthy)
        }
        Err(reason) => {
            say!("{}: not trusted: {reason}", command.file.display());
            Ok(ExitStatus::Issues)
        }
    }
}
