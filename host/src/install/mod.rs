//! What pgheal puts into a database: roles, the functions that forward to the daemon, the page reader. All of it is SQL
//! in `sql/`, one concept a file, without anything spliced in: what differs between installations travels as settings of
//! the transaction, and PostgreSQL's own `format(%I, %L)` puts it into statements.

mod apply;
mod endpoint;
mod parameters;
mod script;

pub use apply::{InstallError, Installed, Uninstalled, install, uninstall};
pub use endpoint::{Endpoint, EndpointError};
pub use parameters::{Parameters, SslMode};
pub use script::{FUNCTIONS_VERSION, printed_install, printed_uninstall};
