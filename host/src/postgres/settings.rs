use tokio_postgres::{Client, Error};

/// Sets session settings by name and value; those that this server's version does not have are left out.
pub async fn apply_settings(client: &Client, settings: &[(&str, &str)]) -> Result<(), Error> {
    let names: Vec<&str> = settings.iter().map(|s| s.0).collect();
    let values: Vec<&str> = settings.iter().map(|s| s.1).collect();
    client
        .query(
            "SELECT pg_catalog.set_config(s.name, w.value, false)
               FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS w(name, value)
               JOIN pg_catalog.pg_settings AS s ON s.name = w.name",
            &[&names, &values],
        )
        .await?;
    // Last, and apart: from here on only qualified names are found.
    client.batch_execute("SET search_path = pg_catalog, pg_temp").await
}

/// SQLSTATE (empty where the connection itself failed) and message with PostgreSQL's detail and hint.
pub fn describe_error(error: &Error) -> (String, String) {
    let Some(db) = error.as_db_error() else {
        let mut message = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        return (String::new(), message);
    };
    let mut message = db.message().to_owned();
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        message = format!("{message}; {more}");
    }
    (db.code().code().to_owned(), message)
}
