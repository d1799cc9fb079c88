/// Why the catalog has no answer; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(
        "the extension pgvector is not installed in database {database}; CREATE EXTENSION vector, or name another database in the URL"
    )]
    NoVectorExtension { database: String },
    #[error("database {database} has no hnsw or ivfflat index")]
    NoVectorIndex { database: String },
    #[error(
        "database {database} has no vector index named {name}; names with capitals, spaces or dots are matched exactly or need double quotes, and an index outside the search path needs its schema"
    )]
    NoSuchIndex { name: String, database: String },
    #[error("{name} is {found}, not an hnsw or ivfflat index")]
    NotAVectorIndex { name: String, found: String },
    #[error("the catalog of PostgreSQL could not be read")]
    Database(#[from] tokio_postgres::Error),
}
