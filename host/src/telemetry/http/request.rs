use super::Response;
use crate::hex;

/// The largest head of a request.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Only the head of the answer is wanted.
    pub head_only: bool,
    /// Without the query.
    pub path: String,
    /// Decoded, in their order.
    pub parameters: Vec<(String, String)>,
}

impl Request {
    /// Reads the head of a request, up to and with its empty line.
    ///
    /// # Errors
    /// The answer to what is no request, or none that is served.
    pub fn parse(head: &[u8]) -> Result<Request, Response> {
        let bad = |reason: &str| Response::text(400, format!("{reason}\n"));
        let head = std::str::from_utf8(head).map_err(|_| bad("the request is not text"))?;
        let line = head.lines().next().unwrap_or_default();
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad("no HTTP request"));
        };
        if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
            return Err(Response::text(505, "HTTP/1.1 is spoken here\n"));
        }
        if !matches!(method, "GET" | "HEAD") {
            return Err(Response::text(405, "only GET and HEAD\n").with_header("Allow", "GET, HEAD"));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if !path.starts_with('/') {
            return Err(bad("the target of the request is no path"));
        }
        let parameters = query
            .split('&')
            .filter(|parameter| !parameter.is_empty())
            .map(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                Some((decode(name)?, decode(value)?))
            })
            .collect::<Option<Vec<_>>>();
        let parameters = parameters.ok_or_else(|| bad("the query cannot be decoded"))?;
        Ok(Request { head_only: method == "HEAD", path: path.to_owned(), parameters })
    }

    /// The first parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Undoes the encoding of a query: `%XX`, and `+` for a space.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex::digit(rest.next()?)? * 16 + hex::digit(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The path with its parameters, or the status of the refusal.
    type Expected<'a> = Result<(&'a str, &'a [(&'a str, &'a str)]), u16>;

    fn check(head: &str, expected: Expected<'_>) {
        let found = Request::parse(head.as_bytes());
        match (found, expected) {
            (Ok(request), Ok((path, parameters))) => {
                let found: Vec<(&str, &str)> =
                    request.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                assert_eq!((request.path.as_str(), found.as_slice()), (path, parameters));
            }
            (Err(response), Err(status)) => assert_eq!(response.status, status, "{head:?}"),
            (found, expected) => panic!("{head:?}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn paths_and_parameters_are_read() {
        check("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", Ok(("/metrics", &[])));
        check("HEAD / HTTP/1.0\r\n\r\n", Ok(("/", &[])));
        check(
            "GET /x?target=my%20shop&a=b+c&d HTTP/1.1\r\n\r\n",
            Ok(("/x", &[("target", "my shop"), ("a", "b c"), ("d", "")])),
        );
        assert!(Request::parse(b"HEAD / HTTP/1.1\r\n\r\n").is_ok_and(|request| request.head_only));
    }

    #[test]
    fn what_is_not_served_is_told() {
        check("POST /metrics HTTP/1.1\r\n\r\n", Err(405));
        check("GET /metrics HTTP/2\r\n\r\n", Err(505));
        check("GET /metrics\r\n\r\n", Err(400));
        check("GET http://elsewhere/ HTTP/1.1\r\n\r\n", Err(400));
        check("GET /?target=%zz HTTP/1.1\r\n\r\n", Err(400));
        check("GET /?target=%f HTTP/1.1\r\n\r\n", Err(400));
        check("\r\n\r\n", Err(400));
        assert!(Request::parse(&[0xff, 0xfe]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_refused(head in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::parse(&head);
        }

        #[test]
        fn any_query_is_decoded_or_refused(query in "[ -~]{0,40}") {
            let _ = Request::parse(format!("GET /?{query} HTTP/1.1\r\n\r\n").as_bytes());
        }
    }
}
