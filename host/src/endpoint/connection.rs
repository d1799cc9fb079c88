use std::io;
use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, SecretKey};

use super::Shared;
use super::client_settings::ClientSettings;
use super::context::{Context, Scope, SessionFacts};
use super::login::{Access, LoginError, Pending, Step, User, announced};
use super::session::{Ended, Session, Wire, error_response};
use super::sql::{Refused, code};
use super::wire::{Message, Opening, ReadError, Socket, Startup, open};
use crate::daemon::api::{Caller, Role, SessionSettings};

/// A wrong password is answered after this long, so that guessing takes its time.
const WRONG_PASSWORD_PAUSE: Duration = Duration::from_millis(250);
/// What a client sends while it logs in.
const LARGEST_LOGIN_MESSAGE_BYTES: usize = 8 << 10;
/// Of the secret that cancels: as PostgreSQL up to 17 does, and from protocol 3.2 on.
const SHORT_KEY_BYTES: usize = 4;
const LONG_KEY_BYTES: usize = 32;
/// The protocol's versions that are spoken; what is newer is negotiated down to the latter.
const PROTOCOL_3_0: u32 = 3 << 16;
const PROTOCOL_3_2: u32 = (3 << 16) | 2;

/// Serves one connection from its first byte to its last.
pub(super) async fn serve(shared: Arc<Shared>, socket: Socket, peer: String, pending: Pending) {
    let access = shared.access();
    let login = tokio::time::timeout(access.login_timeout, log_in(&shared, &access, socket, &peer));
    let session = match login.await {
        Ok(Ok(Some(session))) => session,
        Ok(Ok(None)) => return,
        Ok(Err(Failure::Refused { wire, refused, user })) => {
            if let Some(held_back) = shared.told.refusals.pass() {
                tracing::warn!(peer, user = ?user, code = refused.code, held_back, "log-in refused: {refused}");
            }
            let mut wire = wire;
            wire.put(error_response("FATAL", &refused));
            wire.close().await;
            return;
        }
        Ok(Err(Failure::Lost(error))) => {
            if let Some(held_back) = shared.told.losses.pass() {
                tracing::info!(peer, held_back, "a connection was lost before its log-in: {error}");
            }
            return;
        }
        Err(_) => {
            if let Some(held_back) = shared.told.timeouts.pass() {
                tracing::warn!(peer, held_back, "a connection did not log in within {:?}", access.login_timeout);
            }
            return;
        }
    };
    drop(pending);
    match session.run(shared.stop.subscribe()).await {
        Ended::Left => {}
        Ended::Lost(error) => tracing::debug!(peer, "a session was lost: {error}"),
        Ended::Refused(refused) => {
            if let Some(held_back) = shared.told.endings.pass() {
                tracing::warn!(peer, code = refused.code, held_back, "a session was ended: {refused}");
            }
        }
    }
}

/// Why there is no session.
enum Failure {
    Refused { wire: Wire, refused: Refused, user: String },
    Lost(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Lost(error)
    }
}

/// None where the connection was for something else than a session.
async fn log_in(
    shared: &Arc<Shared>,
    access: &Arc<Access>,
    socket: Socket,
    peer: &str,
) -> Result<Option<Session>, Failure> {
    let is_tcp = matches!(socket, Socket::Tcp(_));
    let (stream, startup, secure) = match open(socket, access.tls.as_ref()).await? {
        Opening::Session { stream, startup, secure } => (stream, startup, secure),
        Opening::Cancel { pid, key } => {
            shared.cancels.cancel(pid, &key);
            return Ok(None);
        }
        Opening::Gone => return Ok(None),
    };
    let mut wire = Wire::new(stream);
    let user = startup.parameters.get("user").cloned().unwrap_or_default();
    let told_user: String = user.chars().take(63).collect();
    macro_rules! or_refuse {
        ($result:expr) => {
            match $result {
                Ok(value) => value,
                Err(refused) => return Err(Failure::Refused { wire, refused, user: told_user }),
            }
        };
    }
    or_refuse!(admissible(&startup, access, is_tcp, secure));
    let key_bytes = negotiate(&mut wire, &startup);
    let user = match prove(&mut wire, access, &user, secure).await? {
        Ok(user) => user,
        Err(refused) => {
            tokio::time::sleep(WRONG_PASSWORD_PAUSE).await;
            return Err(Failure::Refused { wire, refused, user: told_user });
        }
    };
    let client = or_refuse!(client_settings(&startup));
    // As in PostgreSQL, a database that is not named is the user's.
    let database = startup.parameters.get("database").filter(|name| !name.is_empty()).unwrap_or(&user.name).clone();
    let scope = or_refuse!(Scope::choose(&database, &shared.engine.targets()));
    let is_privileged = user.role == Role::Admin || user.forwards;
    let place =
        or_refuse!(shared.admission.seat(access.max_connections, is_privileged).ok_or_else(too_many_connections));
    let cancel = or_refuse!(
        shared.cancels.register(key_bytes).ok_or_else(|| Refused::new("58000", "the system gives no random numbers"))
    );
    greet(&mut wire, &client, &user, cancel.pid, cancel.key.clone());
    tracing::debug!(peer, user = user.name, database, secure, "session");
    let context = Context {
        engine: Arc::clone(&shared.engine),
        scope,
        caller: Caller { name: user.name.clone(), role: user.role },
        forwards: user.forwards,
        settings: SessionSettings::default(),
        session: Arc::new(SessionFacts { user: user.name.clone(), database, pid: cancel.pid, client }),
    };
    Ok(Some(Session::new(wire, context, cancel, place, access.idle_timeout, access.max_message_bytes)))
}

pub(super) fn too_many_connections() -> Refused {
    Refused::new(code::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
        .with_hint("endpoint.max_connections in pgheal.toml bounds them.")
}

/// What has to hold before anybody is asked for a password.
fn admissible(startup: &Startup, access: &Access, is_tcp: bool, secure: bool) -> Result<(), Refused> {
    if startup.major != 3 {
        let message = format!("unsupported frontend protocol {}.{}", startup.major, startup.minor);
        return Err(Refused::new(code::UNSUPPORTED, message));
    }
    if is_tcp && access.requires_tls && !secure {
        return Err(Refused::new(code::WRONG_AUTHORIZATION, "a connection without TLS is refused")
            .with_hint("Connect with sslmode=require, or verify-full."));
    }
    if startup
        .parameters
        .get("replication")
        .is_some_and(|value| !matches!(value.as_str(), "false" | "off" | "no" | "0"))
    {
        return Err(Refused::unsupported("replication"));
    }
    match startup.parameters.get("user").map(String::as_str) {
        None | Some("") => Err(Refused::new(code::WRONG_AUTHORIZATION, "no user name was given")),
        Some(_) => Ok(()),
    }
}

/// Tells a client that asks for more than is spoken what is. Answers how long its key is.
fn negotiate(wire: &mut Wire, startup: &Startup) -> usize {
    let spoken = if startup.minor >= 2 { PROTOCOL_3_2 } else { PROTOCOL_3_0 };
    let unknown: Vec<String> = startup.parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if !matches!(startup.minor, 0 | 2) || !unknown.is_empty() {
        let answer = NegotiateProtocolVersion::new(spoken.cast_signed(), unknown);
        wire.put(PgWireBackendMessage::NegotiateProtocolVersion(answer));
    }
    if spoken == PROTOCOL_3_2 { LONG_KEY_BYTES } else { SHORT_KEY_BYTES }
}

/// The SCRAM exchange. The inner error is for the client.
async fn prove(wire: &mut Wire, access: &Access, name: &str, secure: bool) -> io::Result<Result<Arc<User>, Refused>> {
    let scram = if secure { &access.scram_in_tls } else { &access.scram };
    let refused = |error: LoginError| match error {
        LoginError::Password => {
            Refused::new(code::WRONG_PASSWORD, format!("password authentication failed for user {name:?}"))
        }
        other => Refused::new(code::PROTOCOL, other.to_string()),
    };
    let mut exchange = scram.begin(name);
    let mut next = scram.offer();
    loop {
        wire.put(PgWireBackendMessage::Authentication(next));
        wire.flush().await?;
        let body = match wire.next(LARGEST_LOGIN_MESSAGE_BYTES).await {
            Ok(Some(Message::Password(body))) => body,
            Ok(None | Some(Message::Terminate)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Some(_)) => return Ok(Err(Refused::new(code::PROTOCOL, "expected a SASL response"))),
            Err(ReadError::Io(error)) => return Err(error),
            Err(error) => return Ok(Err(Refused::new(code::PROTOCOL, error.to_string()))),
        };
        match exchange.answer(body) {
            Ok(Step::Continue(authentication)) => next = authentication,
            Ok(Step::Done { user, last }) => {
                wire.put(PgWireBackendMessage::Authentication(last));
                return Ok(Ok(user));
            }
            Err(error) => return Ok(Err(refused(error))),
        }
    }
}

/// The settings that come with the start-up packet.
fn client_settings(startup: &Startup) -> Result<ClientSettings, Refused> {
    let client = ClientSettings::default();
    for (name, value) in &startup.parameters {
        match name.as_str() {
            "user" | "database" | "replication" => {}
            "options" => {
                for (name, value) in options(value)? {
                    client.set(&name, Some(&value))?;
                }
            }
            name if name.starts_with("_pq_.") => {}
            name => {
                client.set(name, Some(value))?;
            }
        }
    }
    Ok(client)
}

/// `-c name=value` and `--name=value`, as PGOPTIONS holds them.
fn options(text: &str) -> Result<Vec<(String, String)>, Refused> {
    let invalid = || Refused::new(code::INVALID_VALUE, "options must look like -c name=value");
    let mut words = text.split_ascii_whitespace();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let assignment = match (word, word.strip_prefix("--"), word.strip_prefix("-c")) {
            ("-c", _, _) => words.next().ok_or_else(invalid)?,
            (_, Some(rest), _) | (_, _, Some(rest)) => rest,
            _ => return Err(invalid()),
        };
        let (name, value) = assignment.split_once('=').ok_or_else(invalid)?;
        options.push((name.replace('-', "_"), value.replace('\\', "")));
    }
    Ok(options)
}

/// What a client is told when it is in; the session says that it is ready.
fn greet(wire: &mut Wire, client: &ClientSettings, user: &User, pid: i32, key: bytes::Bytes) {
    wire.put(PgWireBackendMessage::Authentication(Authentication::Ok));
    for (name, value) in announced(&user.name) {
        wire.tell(name, &value);
    }
    for (name, value) in client.reported() {
        if !matches!(name, "client_encoding" | "standard_conforming_strings") {
            wire.tell(name, &value);
        }
    }
    wire.put(PgWireBackendMessage::BackendKeyData(BackendKeyData::new(pid, SecretKey::Bytes(key))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_postgres_does() {
        let check = |text: &str, expected: Option<&[(&str, &str)]>| {
            let found = options(text).ok();
            let expected = expected.map(|all| all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
            assert_eq!(found, expected, "{text}");
        };
        check("", Some(&[]));
        check("-c jit=off", Some(&[("jit", "off")]));
        check("-cjit=off --lock-timeout=5", Some(&[("jit", "off"), ("lock_timeout", "5")]));
        check("-c", None);
        check("-c jit", None);
        check("jit=off", None);
    }
}
