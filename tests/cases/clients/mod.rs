//! What people have: psql and psycopg, against a running daemon, through the functions in the database and at the
//! endpoint.

mod psql;
mod psql_cases;
mod psycopg;

use anyhow::Result;

use super::support::{Attended, World};

/// Transactions in which somebody may ask: how each begins, and what it locks or reads of a table `$table`.
pub const TRANSACTIONS: [(&str, &str); 4] = [
    ("BEGIN", "LOCK TABLE $table IN ACCESS EXCLUSIVE MODE"),
    // ACCESS EXCLUSIVE on the index, which cannot be locked by name.
    ("BEGIN", "REINDEX INDEX $table_idx"),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT count(*) FROM $table"),
    ("BEGIN READ ONLY", "SELECT count(*) FROM $table"),
];

/// Few, for the sake of time; sick all the same.
const ROWS: usize = 400;
/// So long that only the first cycle is within a case.
const CHECK_INTERVAL_MS: u32 = 600_000;

/// A daemon, and tables `PREFIX0`, `PREFIX1`... with an issue each; roles `DATABASE_app` (an operator, who owns the tables)
/// and `DATABASE_guest` (nobody).
async fn attended(world: World, prefix: &str, tables: usize) -> Result<(Attended, Vec<String>)> {
    let database = world.database.clone();
    let tables: Vec<String> = (0..tables).map(|number| format!("{prefix}{number}")).collect();
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    let attended = Attended::new(world, &names, ROWS, CHECK_INTERVAL_MS).await?;
    let roles = format!(
        "CREATE ROLE {database}_app LOGIN; GRANT pgheal_operator TO {database}_app; CREATE ROLE {database}_guest LOGIN"
    );
    attended.world.sql(&roles).await?;
    for table in &tables {
        attended.world.sql(&format!("ALTER TABLE {table} OWNER TO {database}_app")).await?;
    }
    Ok((attended, tables))
}
