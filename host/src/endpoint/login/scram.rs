use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Buf, Bytes};
use pgwire::messages::startup::Authentication;
use ring::rand::{SecureRandom, SystemRandom};

use super::users::{ITERATIONS, Secret, User, Users, hash, keyed};

const PLAIN: &str = "SCRAM-SHA-256";
const BOUND: &str = "SCRAM-SHA-256-PLUS";
const BINDING: &str = "p=tls-server-end-point";
const NONCE_BYTES: usize = 18;
const LONGEST_NONCE_BYTES: usize = 256;

/// The SCRAM exchange (RFC 5802, 7677), with channel binding in TLS (RFC 5929): who listens in learns nothing, and who
/// passes the exchange on to another server gets nowhere.
pub struct Scram {
    users: Arc<Users>,
    /// The digest of the server's certificate.
    binding: Option<Vec<u8>>,
}

/// One client's exchange.
pub struct Exchange<'a> {
    scram: &'a Scram,
    user: &'a str,
    state: State,
}

enum State {
    First,
    Final { secret: Secret, gs2_header: String, client_first: String, server_first: String, nonce: String },
    Over,
}

/// Where an exchange is.
pub enum Step {
    /// Send this, and wait for an answer.
    Continue(Authentication),
    /// The client knows the password. Send the last, which proves that the server knows it, too.
    Done { user: Arc<User>, last: Authentication },
}

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Wrong password, or no such user: both look the same.
    #[error("password authentication failed")]
    Password,
    #[error("malformed SCRAM message")]
    Malformed,
    #[error("the client chose a SASL mechanism that was not offered")]
    Mechanism,
    #[error("the client asked for a channel binding that there is not")]
    Binding,
    #[error("the client saw no channel binding, where one was offered: somebody may be in between")]
    Downgrade,
    #[error("the system gives no random numbers")]
    Random,
}

impl Scram {
    pub fn new(users: Arc<Users>, binding: Option<Vec<u8>>) -> Scram {
        Scram { users, binding }
    }

    /// What the server says first: which mechanisms there are. None of them shows the password.
    pub fn offer(&self) -> Authentication {
        let bound = self.binding.is_some().then(|| BOUND.to_owned());
        Authentication::SASL(bound.into_iter().chain([PLAIN.to_owned()]).collect())
    }

    pub fn begin<'a>(&'a self, user: &'a str) -> Exchange<'a> {
        Exchange { scram: self, user, state: State::First }
    }
}

impl Exchange<'_> {
    /// Takes a client's answer one step further.
    ///
    /// # Errors
    /// The exchange is over, and nobody comes in.
    pub fn answer(&mut self, body: Bytes) -> Result<Step, LoginError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::First => self.first(body).map(Step::Continue),
            State::Final { secret, gs2_header, client_first, server_first, nonce } => {
                let message = std::str::from_utf8(&body).map_err(|_| LoginError::Malformed)?;
                let (without_proof, proof) = message.rsplit_once(",p=").ok_or(LoginError::Malformed)?;
                let mut fields = without_proof.split(',');
                let bound = fields.next().and_then(|field| field.strip_prefix("c=")).ok_or(LoginError::Malformed)?;
                let echoed = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(LoginError::Malformed)?;
                if bound != self.expected_binding(&gs2_header) {
                    return Err(LoginError::Binding);
                }
                if echoed != nonce {
                    return Err(LoginError::Malformed);
                }
                let proof = BASE64.decode(proof).map_err(|_| LoginError::Malformed)?;
                let proof = <[u8; 32]>::try_from(proof).map_err(|_| LoginError::Malformed)?;
                let signed = format!("{client_first},{server_first},{without_proof}");
                let signature = keyed(&secret.stored_key, signed.as_bytes());
                let mut client_key = proof;
                client_key.iter_mut().zip(signature).for_each(|(byte, mask)| *byte ^= mask);
                let fits = is_equal(&hash(&client_key), &secret.stored_key);
                match secret.user {
                    Some(user) if fits => {
                        let verifier = BASE64.encode(keyed(&secret.server_key, signed.as_bytes()));
                        let last = Authentication::SASLFinal(format!("v={verifier}").into());
                        Ok(Step::Done { user, last })
                    }
                    _ => Err(LoginError::Password),
                }
            }
            State::Over => Err(LoginError::Malformed),
        }
    }

    fn first(&mut self, body: Bytes) -> Result<Authentication, LoginError> {
        let (mechanism, message) = first_answer(body).ok_or(LoginError::Malformed)?;
        let has_binding = self.scram.binding.is_some();
        if mechanism != PLAIN && !(mechanism == BOUND && has_binding) {
            return Err(LoginError::Mechanism);
        }
        let (flag, rest) = message.split_once(',').ok_or(LoginError::Malformed)?;
        match flag {
            "n" if mechanism == PLAIN => {}
            "y" if mechanism == PLAIN && has_binding => return Err(LoginError::Downgrade),
            "y" if mechanism == PLAIN => {}
            BINDING if mechanism == BOUND => {}
            _ => return Err(LoginError::Binding),
        }
        // Nobody acts for another here: the second field must be empty. PostgreSQL's user name is in the start-up packet.
        let client_first = rest.strip_prefix(',').ok_or(LoginError::Malformed)?;
        let mut fields = client_first.split(',');
        let is_name = fields.next().is_some_and(|field| field.starts_with("n="));
        let client_nonce = fields.next().and_then(|field| field.strip_prefix("r=")).unwrap_or_default();
        let is_nonce = (1..=LONGEST_NONCE_BYTES).contains(&client_nonce.len())
            && client_nonce.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_name || !is_nonce {
            return Err(LoginError::Malformed);
        }
        let mut own = [0; NONCE_BYTES];
        SystemRandom::new().fill(&mut own).map_err(|_| LoginError::Random)?;
        let nonce = format!("{client_nonce}{}", BASE64.encode(own));
        let secret = self.scram.users.secret(self.user);
        let server_first = format!("r={nonce},s={},i={ITERATIONS}", BASE64.encode(&secret.salt));
        self.state = State::Final {
            secret,
            gs2_header: format!("{flag},,"),
            client_first: client_first.to_owned(),
            server_first: server_first.clone(),
            nonce,
        };
        Ok(Authentication::SASLContinue(server_first.into()))
    }

    fn expected_binding(&self, gs2_header: &str) -> String {
        let mut input = gs2_header.as_bytes().to_vec();
        if gs2_header.starts_with("p=") {
            input.extend(self.scram.binding.iter().flatten());
        }
        BASE64.encode(input)
    }
}

/// The mechanism's name, and its first message.
fn first_answer(mut body: Bytes) -> Option<(String, String)> {
    let end = body.iter().position(|&byte| byte == 0)?;
    let name = String::from_utf8(body.split_to(end).to_vec()).ok()?;
    body.advance(1);
    let length = usize::try_from(body.try_get_i32().ok()?).ok()?;
    (length == body.len()).then(|| String::from_utf8(body.to_vec()).ok()).flatten().map(|message| (name, message))
}

/// Takes as long wherever the two differ.
fn is_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::api::Role;

    fn scram(binding: Option<&[u8]>) -> Scram {
        let mut users = Users::derived_from(b"seed");
        users.add(User { name: "ann".to_owned(), role: Role::Reader, forwards: false }, "s3cret");
        Scram::new(Arc::new(users), binding.map(<[u8]>::to_vec))
    }

    fn first(mechanism: &str, message: &str) -> Bytes {
        let length = (message.len() as i32).to_be_bytes();
        [mechanism.as_bytes(), b"\0", &length, message.as_bytes()].concat().into()
    }

    fn text(authentication: &Authentication) -> String {
        match authentication {
            Authentication::SASLContinue(data) | Authentication::SASLFinal(data) => {
                String::from_utf8(data.to_vec()).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Plays a client, by the RFC.
    fn log_in(
        scram: &Scram,
        user: &str,
        password: &str,
        mechanism: &str,
        header: &str,
        seen: &[u8],
    ) -> Result<String, LoginError> {
        let mut exchange = scram.begin(user);
        let client_first = "n=,r=abc";
        let step = exchange.answer(first(mechanism, &format!("{header}{client_first}")))?;
        let Step::Continue(server_first) = step else { panic!("over at once") };
        let server_first = text(&server_first);
        let fields: Vec<&str> = server_first.split(',').collect();
        assert!(fields[0].starts_with("r=abc") && fields[0].len() > 20 && fields[2] == "i=4096", "{server_first}");
        let salt = BASE64.decode(&fields[1][2..]).unwrap();
        let mut salted = [0; 32];
        let algorithm = ring::pbkdf2::PBKDF2_HMAC_SHA256;
        ring::pbkdf2::derive(algorithm, ITERATIONS, &salt, password.as_bytes(), &mut salted);
        let client_key = keyed(&salted, b"Client Key");
        let bound = BASE64.encode([header.as_bytes(), seen].concat());
        let without_proof = format!("c={bound},{}", fields[0]);
        let signed = format!("{client_first},{server_first},{without_proof}");
        let signature = keyed(&hash(&client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        match exchange.answer(format!("{without_proof},p={}", BASE64.encode(proof)).into())? {
            Step::Done { user, last } => {
                let verifier = format!("v={}", BASE64.encode(keyed(&keyed(&salted, b"Server Key"), signed.as_bytes())));
                assert_eq!(text(&last), verifier);
                assert_eq!(
                    exchange.answer(Bytes::new()).err(),
                    Some(LoginError::Malformed),
                    "an exchange is used once"
                );
                Ok(user.name.clone())
            }
            Step::Continue(_) => panic!("no end"),
        }
    }

    #[test]
    fn only_the_password_opens() {
        let plain = scram(None);
        let check = |user: &str, password: &str, expected: Result<&str, LoginError>| {
            let found = log_in(&plain, user, password, PLAIN, "n,,", b"");
            assert_eq!(found.as_deref().map_err(|error| *error), expected);
        };
        check("ann", "s3cret", Ok("ann"));
        check("ann", "S3cret", Err(LoginError::Password));
        check("ann", "", Err(LoginError::Password));
        check("bob", "s3cret", Err(LoginError::Password));
    }

    #[test]
    fn the_exchange_is_bound_to_the_certificate() {
        let bound = scram(Some(b"digest"));
        let check = |mechanism: &str, header: &str, seen: &[u8], expected: Result<&str, LoginError>| {
            let found = log_in(&bound, "ann", "s3cret", mechanism, header, seen);
            assert_eq!(found.as_deref().map_err(|error| *error), expected);
        };
        check(BOUND, "p=tls-server-end-point,,", b"digest", Ok("ann"));
        check(BOUND, "p=tls-server-end-point,,", b"another", Err(LoginError::Binding));
        check(BOUND, "p=tls-unique,,", b"digest", Err(LoginError::Binding));
        check(BOUND, "n,,", b"", Err(LoginError::Binding));
        check(PLAIN, "n,,", b"", Ok("ann"));
        check(PLAIN, "y,,", b"", Err(LoginError::Downgrade));
        let found = log_in(&scram(None), "ann", "s3cret", BOUND, "p=tls-server-end-point,,", b"");
        assert_eq!(found, Err(LoginError::Mechanism));
    }

    #[test]
    fn malformed_messages_are_refused() {
        let scram = scram(None);
        let check = |body: Bytes, expected: LoginError| {
            assert_eq!(scram.begin("ann").answer(body).err(), Some(expected));
        };
        check(Bytes::from_static(b"secret\0"), LoginError::Malformed);
        check(Bytes::new(), LoginError::Malformed);
        check(first("MD5", "n,,n=,r=abc"), LoginError::Mechanism);
        check(first(PLAIN, "n,a=bob,n=,r=abc"), LoginError::Malformed);
        check(first(PLAIN, "n,,m=x,n=,r=abc"), LoginError::Malformed);
        check(first(PLAIN, "n,,n=,r="), LoginError::Malformed);
        check(first(PLAIN, "n"), LoginError::Malformed);
    }
}
