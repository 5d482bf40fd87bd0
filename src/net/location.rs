//! Where a redirect leads: RFC 3986, section 5.2.

use hyper::Uri;

/// A location against the address that it came from.
pub(super) fn absolute(location: &str, from: &Uri) -> String {
    let location = location.split('#').next().unwrap_or("");
    let authority = from.authority().map_or("", |authority| authority.as_str());
    let scheme = from.scheme_str().unwrap_or("http");
    if has_scheme(location) {
        return location.to_owned();
    }
    if location.starts_with("//") {
        return format!("{scheme}:{location}");
    }
    let (path, query) = location.split_at(location.find('?').unwrap_or(location.len()));
    let path = if path.is_empty() {
        from.path().to_owned()
    } else if path.starts_with('/') {
        without_dots(path)
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        without_dots(&format!("{folder}/{path}"))
    };
    format!("{scheme}://{authority}{path}{query}")
}

/// Whether it begins with `scheme:`; a colon further on is part of a path or a query.
fn has_scheme(location: &str) -> bool {
    let first = location.split(['/', '?']).next().unwrap_or("");
    let Some((scheme, _)) = first.split_once(':') else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(plain)
}

/// A path from the root without `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn locations_are_resolved_as_browsers_do() {
        let cases = [
            ("http://b/x?y", "http://b/x?y"),
            ("//b/x", "http://b/x"),
            ("/x", "http://a:1/x"),
            ("?x=1", "http://a:1/d/e?x=1"),
            ("f", "http://a:1/d/f"),
            ("../ok", "http://a:1/ok"),
            ("../../../ok/.", "http://a:1/ok/"),
            ("./f/../g?h=../i", "http://a:1/d/g?h=../i"),
            ("/x/./y/..", "http://a:1/x/"),
            ("login?next=http://b/", "http://a:1/d/login?next=http://b/"),
            ("f/c:d", "http://a:1/d/f/c:d"),
            ("f#part", "http://a:1/d/f"),
            ("mailto:x", "mailto:x"),
            ("HTTPS://b/", "HTTPS://b/"),
        ];
        let from = "http://a:1/d/e?q=1".parse().expect("a URL");
        for (location, expected) in cases {
            assert_eq!(absolute(location, &from), expected, "{location}");
        }
    }
}
