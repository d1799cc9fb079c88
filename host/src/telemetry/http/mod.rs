//! Just as much HTTP/1.1 as a scraper and a prober need: GET and HEAD, one request a connection, everything bounded.

mod request;
mod response;
mod server;

pub use request::Request;
pub use response::Response;
pub use server::Server;
