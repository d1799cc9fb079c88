use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::*;
use crate::hex;

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0 a component";

/// A component's path in a directory of its own, with what is beside it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str, signature: Option<&str>) -> Place {
        let dir = std::env::temp_dir().join(format!("pgheal-trust-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        if let Some(text) = signature {
            fs::write(dir.join("rule.wasm.sig"), text).unwrap();
        }
        Place(dir)
    }

    fn component(&self) -> PathBuf {
        self.0.join("rule.wasm")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn trust(keys: &[&SecretKey]) -> Trust {
    let keys: Vec<String> = keys.iter().map(|key| key.public().to_string()).collect();
    Trust::new(&keys).unwrap()
}

fn signed(key: &SecretKey, component: &[u8]) -> SignatureFile {
    let mut file = SignatureFile::default();
    file.sign(key, component);
    file
}

/// `expected`: None where the component is trusted, else a part of the reason.
fn check(name: &str, trust: &Trust, signature: Option<&str>, component: &[u8], expected: Option<&str>) {
    let place = Place::new(name, signature);
    let answer = trust.check(&place.component(), component);
    match (answer, expected) {
        (Ok(()), None) => {}
        (Err(reason), Some(part)) => assert!(reason.contains(part), "{name}: {reason}"),
        (answer, expected) => panic!("{name}: {answer:?}, expected {expected:?}"),
    }
}

#[test]
fn without_keys_everything_is_trusted() {
    check("free", &Trust::default(), None, COMPONENT, None);
    check("free-rubbish", &Trust::default(), Some("rubbish"), COMPONENT, None);
}

#[test]
fn with_keys_only_what_they_signed_is_trusted() {
    let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let by_key = signed(&key, COMPONENT).to_text();
    let by_other = signed(&other, COMPONENT).to_text();
    check("signed", &trust(&[&key]), Some(&by_key), COMPONENT, None);
    check("second-key", &trust(&[&other, &key]), Some(&by_key), COMPONENT, None);
    check("unsigned", &trust(&[&key]), None, COMPONENT, Some("not signed"));
    check("wrong-key", &trust(&[&key]), Some(&by_other), COMPONENT, Some("not among policies.trusted_keys"));
    check("nothing", &trust(&[&key]), Some("\n"), COMPONENT, Some("holds no signature"));

    let of_another = signed(&key, b"\0asm\x0d\0\x01\0 another").to_text();
    check("another-file", &trust(&[&key]), Some(&of_another), COMPONENT, Some("does not fit"));
    let claimed = by_other.replace(&other.public().to_string(), &key.public().to_string());
    check("claimed-key", &trust(&[&key]), Some(&claimed), COMPONENT, Some("does not fit"));
    for at in [0, 8, COMPONENT.len() - 1] {
        let mut tampered = COMPONENT.to_vec();
        tampered[at] ^= 1;
        check("tampered", &trust(&[&key]), Some(&by_key), &tampered, Some("does not fit"));
    }
}

#[test]
fn a_signature_file_that_is_cut_or_garbled_is_none() {
    let key = SecretKey::generate().unwrap();
    let text = signed(&key, COMPONENT).to_text();
    let line = text.trim_end();
    for end in [line.len() - 1, line.len() - 128, 60, 5] {
        check("cut", &trust(&[&key]), Some(&line[..end]), COMPONENT, Some("cut off"));
    }
    check("longer", &trust(&[&key]), Some(&format!("{line}00")), COMPONENT, Some("line 1 is no signature"));
    check("upper", &trust(&[&key]), Some(&line.to_uppercase()), COMPONENT, Some("line 1"));
    check("large", &trust(&[&key]), Some(&text.repeat(500)), COMPONENT, Some("larger than"));
}

#[test]
fn every_flipped_bit_of_a_signature_breaks_it() {
    let key = SecretKey::generate().unwrap();
    let sha256 = Sha256::digest(COMPONENT);
    let signature = key.sign(&sha256);
    assert!(key.public().verifies(&sha256, &signature));
    for bit in 0..signature.len() * 8 {
        let mut flipped = signature.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!key.public().verifies(&sha256, &flipped), "bit {bit}");
    }
}

#[test]
fn what_the_key_signed_elsewhere_is_no_signature_of_a_policy() {
    let key = SecretKey::generate().unwrap();
    let sha256 = Sha256::digest(COMPONENT);
    let other_domain = [b"pgheal policy component, signature version 2\0", &sha256[..]].concat();
    for message in [COMPONENT, &sha256[..], hex::encode(&sha256).as_bytes(), &other_domain] {
        assert!(!key.public().verifies(&sha256, &key.sign_elsewhere(message)));
    }
}

#[test]
fn several_keys_sign_and_old_signatures_of_other_bytes_go() {
    let (old, new) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let mut file = signed(&old, COMPONENT);
    file.sign(&new, COMPONENT);
    file.sign(&new, COMPONENT);
    assert_eq!(file.keys().collect::<Vec<_>>(), [old.public(), new.public()]);
    assert_eq!(SignatureFile::parse(&file.to_text()), Ok(file.clone()));
    assert!(file.is_by(&old.public(), COMPONENT) && file.is_by(&new.public(), COMPONENT));
    file.sign(&new, b"a new version");
    assert_eq!(file.keys().collect::<Vec<_>>(), [new.public()]);
}

#[test]
fn keys_are_files_for_their_owner_only_and_are_never_overwritten() {
    let place = Place::new("keys", None);
    let path = place.0.join("signing.key");
    let key = SecretKey::generate().unwrap();
    key.write(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SecretKey::read(&path).unwrap().public(), key.public());
    assert!(matches!(SecretKey::generate().unwrap().write(&path), Err(KeyError::File { .. })));
    assert_eq!(SecretKey::read(&path).unwrap().public(), key.public());

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(SecretKey::read(&path), Err(KeyError::Open(_))));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, key.public().to_string()).unwrap();
    assert!(matches!(SecretKey::read(&path), Err(KeyError::Secret(_))));

    assert_eq!(PublicKey::find(&key.public().to_string()).unwrap(), key.public());
    assert_eq!(PublicKey::find(path.to_str().unwrap()).unwrap(), key.public());
    assert!(PublicKey::find("ed25519:12").is_err());
    assert!(PublicKey::find("/nowhere/key.pub").is_err());
}
