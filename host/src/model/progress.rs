/// Where long work says how far it is. Called from several threads.
pub trait Progress: Send + Sync {
    /// A new phase begins; `total` is in the phase's own units, absent where it is not known.
    fn phase(&self, name: &str, total: Option<u64>);
    /// So much of the phase is done, from its beginning.
    fn done(&self, position: u64);
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _name: &str, _total: Option<u64>) {}
    fn done(&self, _position: u64) {}
}
