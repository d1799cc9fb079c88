use std::sync::Arc;

use super::client_settings::ClientSettings;
use super::sql::{Refused, code};
use crate::daemon::api::{Caller, Engine, Role, SessionSettings, TargetView};

/// What a statement is carried out with: whom to ask, in whose name, about which target.
#[derive(Clone)]
pub struct Context {
    pub engine: Arc<dyn Engine>,
    pub scope: Scope,
    pub caller: Caller,
    /// Whether the caller may speak for others.
    pub forwards: bool,
    /// What a forwarded call brings along.
    pub settings: SessionSettings,
    pub session: Arc<SessionFacts>,
}

/// The targets that a session sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    /// By the target's name.
    One(String),
}

/// What stays the same in a session.
#[derive(Debug)]
pub struct SessionFacts {
    pub user: String,
    /// As the client named it.
    pub database: String,
    pub pid: i32,
    pub client: ClientSettings,
}

/// The database that stands for all targets.
pub const ALL_TARGETS: &str = "pgheal";

impl Scope {
    /// By a target's name, else by its database where only one target has it; `pgheal` is all of them.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn choose(database: &str, targets: &[Arc<TargetView>]) -> Result<Scope, Refused> {
        if targets.iter().any(|target| target.name == database) {
            return Ok(Scope::One(database.to_owned()));
        }
        let mut with_database = targets.iter().filter(|target| target.database == database);
        match (with_database.next(), with_database.next()) {
            (Some(target), None) => return Ok(Scope::One(target.name.clone())),
            (None, _) if database == ALL_TARGETS => return Ok(Scope::All),
            _ => {}
        }
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        Err(Refused::new(
            code::UNKNOWN_DATABASE,
            format!("there is no target {database:?}, nor one with that database"),
        )
        .with_hint(format!("Targets are {}; {ALL_TARGETS} stands for all.", names.join(", "))))
    }
}

impl Context {
    /// The one target that a function is about.
    ///
    /// # Errors
    /// The session sees several.
    pub fn target(&self) -> Result<String, Refused> {
        if let Scope::One(name) = &self.scope {
            return Ok(name.clone());
        }
        match self.engine.targets().as_slice() {
            [only] => Ok(only.name.clone()),
            [] => Err(Refused::new(code::UNKNOWN_OBJECT, "pgheal has no target")),
            several => {
                let names: Vec<&str> = several.iter().map(|target| target.name.as_str()).collect();
                Err(Refused::new(code::UNKNOWN_OBJECT, "there are several targets; connect to one of them")
                    .with_hint(format!("Use as database one of {}.", names.join(", "))))
            }
        }
    }

    /// All targets that the session sees, as they are now.
    pub fn targets(&self) -> Vec<Arc<TargetView>> {
        let mut targets = self.engine.targets();
        if let Scope::One(name) = &self.scope {
            targets.retain(|target| target.name == *name);
        }
        targets
    }

    /// # Errors
    /// The caller may not.
    pub fn require(&self, role: Role, what: &str) -> Result<(), Refused> {
        if self.caller.role >= role {
            return Ok(());
        }
        let message = format!(
            "{} may not {what}: that needs the role {}, and has the role {}",
            self.caller.name,
            role.name(),
            self.caller.role.name()
        );
        Err(Refused::new(code::NOT_PERMITTED, message))
    }
}
