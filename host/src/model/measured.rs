use serde::{Serialize, Serializer};

/// A value that was measured, or the reason why it was not. There is no default: absence of data is
/// never read as health.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured<T> {
    Known(T),
    Unknown(String),
}

/// A field of a report that could not be measured, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnknownField {
    pub field: String,
    pub reason: String,
}

impl<T> Measured<T> {
    pub fn unknown(reason: impl Into<String>) -> Self {
        Measured::Unknown(reason.into())
    }

    pub fn known(&self) -> Option<&T> {
        match self {
            Measured::Known(value) => Some(value),
            Measured::Unknown(_) => None,
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Measured::Known(_) => None,
            Measured::Unknown(reason) => Some(reason),
        }
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Measured<U> {
        match self {
            Measured::Known(value) => Measured::Known(f(value)),
            Measured::Unknown(reason) => Measured::Unknown(reason),
        }
    }
}

impl<T: Copy> Measured<T> {
    pub fn get(&self) -> Option<T> {
        self.known().copied()
    }
}

/// The value, or null: the reasons are listed once, in the report's `unknown`.
impl<T: Serialize> Serialize for Measured<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.known().serialize(serializer)
    }
}
