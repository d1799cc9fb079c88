use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use super::secrets;
use crate::config::EndpointConfig;
use crate::daemon::api::Role;

/// As PostgreSQL's `scram_iterations` by default.
pub const ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).unwrap();
const SALT_BYTES: usize = 16;

/// Somebody who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// What he may in his own name.
    pub role: Role,
    /// Whether he may tell in whose name a call is.
    pub forwards: bool,
}

/// Who may log in. Only what SCRAM needs to check a password is kept, no password.
pub struct Users {
    known: HashMap<String, Known>,
    /// Derives salts, and the answers to names that nobody has.
    key: hmac::Key,
}

struct Known {
    user: Arc<User>,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

/// What an exchange needs.
pub struct Secret {
    pub salt: Vec<u8>,
    pub stored_key: [u8; 32],
    pub server_key: [u8; 32],
    /// None for a name that nobody has: then no password fits.
    pub user: Option<Arc<User>>,
}

impl Users {
    /// Reads every user's password.
    ///
    /// # Errors
    /// A password cannot be read; names the user.
    pub fn read(config: &EndpointConfig) -> anyhow::Result<Users> {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).ok().context("the system gives no random numbers")?;
        let mut users = Users::derived_from(&seed);
        for (name, settings) in &config.user {
            let password = secrets::password(settings.password_file.as_deref(), settings.password_env.as_deref())
                .with_context(|| format!("endpoint.user.{name}"))?;
            users.add(User { name: name.clone(), role: settings.role, forwards: settings.forwards }, &password);
        }
        Ok(users)
    }

    pub(super) fn derived_from(seed: &[u8]) -> Users {
        Users { known: HashMap::new(), key: hmac::Key::new(hmac::HMAC_SHA256, seed) }
    }

    /// Derives the keys (RFC 5802, section 3). A password that SASLprep refuses is taken as it is, as by PostgreSQL.
    pub(super) fn add(&mut self, user: User, password: &str) {
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let mut salted = [0; 32];
        let salt = self.salt(&user.name);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, prepared.as_bytes(), &mut salted);
        let client_key = keyed(&salted, b"Client Key");
        let known =
            Known { stored_key: hash(&client_key), server_key: keyed(&salted, b"Server Key"), user: Arc::new(user) };
        self.known.insert(known.user.name.clone(), known);
    }

    /// What the exchange needs for a name. For one that nobody has, it takes the same steps, and no password fits: which
    /// names there are cannot be told from the answers.
    pub fn secret(&self, name: &str) -> Secret {
        let salt = self.salt(name);
        let (no_stored_key, no_server_key) = (self.derive(b"stored:", name), self.derive(b"server:", name));
        match self.known.get(name) {
            Some(known) => Secret {
                salt,
                stored_key: known.stored_key,
                server_key: known.server_key,
                user: Some(Arc::clone(&known.user)),
            },
            None => Secret { salt, stored_key: no_stored_key, server_key: no_server_key, user: None },
        }
    }

    /// The same for the same name as long as the users are not read anew, whether or not there is such a user.
    fn salt(&self, name: &str) -> Vec<u8> {
        self.derive(b"salt:", name)[..SALT_BYTES].to_vec()
    }

    fn derive(&self, purpose: &[u8], name: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(purpose);
        context.update(name.as_bytes());
        fixed(context.sign().as_ref())
    }
}

/// HMAC-SHA-256.
pub fn keyed(key: &[u8], message: &[u8]) -> [u8; 32] {
    fixed(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref())
}

/// SHA-256.
pub fn hash(message: &[u8]) -> [u8; 32] {
    fixed(digest::digest(&digest::SHA256, message).as_ref())
}

fn fixed(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, is_known: bool) {
        let mut users = Users::derived_from(b"seed");
        users.add(User { name: "ann".to_owned(), role: Role::Reader, forwards: false }, "s3cret");
        let (secret, again) = (users.secret(name), users.secret(name));
        assert_eq!(secret.user.is_some(), is_known);
        assert_eq!(secret.salt.len(), SALT_BYTES);
        assert_eq!(secret.salt, again.salt, "a salt that changes tells that there is no such user");
        assert_eq!(secret.stored_key, again.stored_key);
    }

    #[test]
    fn names_that_nobody_has_look_like_others() {
        check("ann", true);
        check("bob", false);
        check("", false);
    }
}
