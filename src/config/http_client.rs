//! Prometheus' settings of HTTP clients, as scrape jobs, discovery, notifications and remote write have them among their own keys:
//! `basic_auth`, `authorization`, `bearer_token`, `bearer_token_file`, `tls_config`, `follow_redirects`, `http_headers`.
//!
//! Files are named here and read when they are used, so a token that is not there yet fails its requests, not the start.

use std::path::Path;

use hyper::header::HeaderName;

use crate::net::{Auth, ClientConfig, Pem, Redirects, Secret, TlsConfig, TlsVersion};
use crate::yaml::{Mapping, Node, YamlErrors};

use super::relative_to;

/// Headers that other settings or the client itself write.
const RESERVED: [&str; 18] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// Keys of Prometheus that would change where requests go or who we are: leaving them out silently would be wrong.
const REFUSED: [(&str, &str); 4] = [
    ("proxy_url", "requests go straight to their host: expected none, or a target that can be reached without a proxy"),
    ("proxy_from_environment", "proxies are not used: expected false"),
    ("proxy_connect_header", "proxies are not used: expected none"),
    ("oauth2", "OAuth 2 is not spoken: expected basic_auth or authorization"),
];

/// What the keys say. The redirects are a setting of each request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpClientSection {
    /// TLS, credentials and headers; timeouts are the defaults.
    pub client: ClientConfig,
    /// `Anywhere`, or `Never` when `follow_redirects` is false.
    pub redirects: Redirects,
}

/// Takes the keys of an HTTP client out of a mapping that may have others; relative files are in `folder`.
pub fn http_client(map: &mut Mapping<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> HttpClientSection {
    for (key, why) in REFUSED {
        let unset =
            |node: &Node<'_>| node.is_null() || node.string(&mut YamlErrors::default()).as_deref() == Some("false");
        if let Some(node) = map.get(key).filter(|node| !unset(node)) {
            errors.push(node.error(why));
        }
    }
    // Known, and without meaning where no proxy and no HTTP/2 is spoken.
    let _ = map.get("no_proxy");
    let _ = map.optional("enable_http2", errors, Node::boolean);
    let follow = map.optional("follow_redirects", errors, Node::boolean).unwrap_or(true);
    let auth = auth(map, errors, folder);
    let tls = map.optional("tls_config", errors, |node, errors| tls_config(node, errors, folder)).unwrap_or_default();
    let headers =
        map.optional("http_headers", errors, |node, errors| headers(node, errors, folder)).unwrap_or_default();
    HttpClientSection {
        client: ClientConfig { tls, auth, headers, ..ClientConfig::default() },
        redirects: if follow { Redirects::Anywhere } else { Redirects::Never },
    }
}

/// At most one way of saying who we are.
fn auth(map: &mut Mapping<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> Option<Auth> {
    let bearer = |credentials| Auth::Authorization { scheme: "Bearer".to_owned(), credentials };
    let mut found: Vec<(&str, Node<'_>, Option<Auth>)> = Vec::new();
    if let Some(node) = present(map, "basic_auth") {
        let auth = basic(&node, errors, folder);
        found.push(("basic_auth", node, auth));
    }
    if let Some(node) = present(map, "authorization") {
        let auth = authorization(&node, errors, folder);
        found.push(("authorization", node, auth));
    }
    if let Some(node) = present(map, "bearer_token") {
        let token = node.secret(errors).map(|secret| bearer(Secret::Inline(secret.reveal().to_owned())));
        found.push(("bearer_token", node, token));
    }
    if let Some(node) = present(map, "bearer_token_file") {
        let token = file(&node, errors, folder).map(|path| bearer(Secret::File(path)));
        found.push(("bearer_token_file", node, token));
    }
    if let [(first, ..), (second, node, _), ..] = &found[..] {
        let all = "at most one of basic_auth, authorization, bearer_token and bearer_token_file";
        errors.push(node.error(format!("{second} cannot stand beside {first}")).expected(all));
    }
    found.into_iter().next().and_then(|(_, _, auth)| auth)
}

fn basic(node: &Node<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> Option<Auth> {
    let mut map = node.mapping(errors);
    let username = either(&mut map, errors, folder, ("username", "username_file"), ShowAs::Text);
    let password = either(&mut map, errors, folder, ("password", "password_file"), ShowAs::Secret);
    map.finish(errors);
    let empty = || Secret::Inline(String::new());
    Some(Auth::Basic { username: username.unwrap_or_else(empty), password: password.unwrap_or_else(empty) })
}

fn authorization(node: &Node<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> Option<Auth> {
    let mut map = node.mapping(errors);
    let scheme = map.optional("type", errors, Node::string).unwrap_or_default().trim().to_owned();
    let credentials = either(&mut map, errors, folder, ("credentials", "credentials_file"), ShowAs::Secret);
    map.finish(errors);
    let scheme = if scheme.is_empty() { "Bearer".to_owned() } else { scheme };
    if scheme.eq_ignore_ascii_case("basic") {
        errors.push(node.error("authorization cannot have the type basic").expected("basic_auth instead"));
        return None;
    }
    if !scheme.bytes().all(|byte| byte.is_ascii_graphic()) {
        errors.push(node.error("the type cannot stand in a header").expected("one word, Bearer for example"));
        return None;
    }
    match credentials {
        Some(credentials) => Some(Auth::Authorization { scheme, credentials }),
        None => {
            errors.push(node.error("there are no credentials").expected("credentials or credentials_file"));
            None
        }
    }
}

/// Reads `tls_config`.
pub fn tls_config(node: &Node<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> Option<TlsConfig> {
    const VERSIONS: [(&str, TlsVersion); 4] = [
        ("TLS10", TlsVersion::Tls10),
        ("TLS11", TlsVersion::Tls11),
        ("TLS12", TlsVersion::Tls12),
        ("TLS13", TlsVersion::Tls13),
    ];
    let mut map = node.mapping(errors);
    let mut pem = |errors: &mut YamlErrors, keys, show| {
        either(&mut map, errors, folder, keys, show).map(|secret| match secret {
            Secret::Inline(text) => Pem::Inline(text),
            Secret::File(path) => Pem::File(path),
        })
    };
    let ca = pem(errors, ("ca", "ca_file"), ShowAs::Text);
    let cert = pem(errors, ("cert", "cert_file"), ShowAs::Text);
    let key = pem(errors, ("key", "key_file"), ShowAs::Secret);
    let tls = TlsConfig {
        ca,
        cert,
        key,
        server_name: map.optional("server_name", errors, Node::string).filter(|name| !name.is_empty()),
        insecure_skip_verify: map.optional("insecure_skip_verify", errors, Node::boolean).unwrap_or(false),
        min_version: map.optional("min_version", errors, |node, errors| node.word(&VERSIONS, errors)),
        max_version: map.optional("max_version", errors, |node, errors| node.word(&VERSIONS, errors)),
    };
    map.finish(errors);
    if let Err(problem) = tls.validate() {
        errors.push(node.error(problem.to_string()));
    }
    Some(tls)
}

fn headers(node: &Node<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> Option<Vec<(HeaderName, Secret)>> {
    let mut headers = Vec::new();
    for (name, node) in node.mapping(errors).pairs() {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            errors.push(node.error(format!("{name:?} cannot be the name of a header")));
            continue;
        };
        if RESERVED.contains(&header.as_str()) {
            errors.push(node.error(format!("the header {name} is written by other settings or by the client")));
            continue;
        }
        let mut map = node.mapping(errors);
        let plain = map.optional("values", errors, Node::strings).unwrap_or_default();
        let secret = map.optional("secrets", errors, Node::strings).unwrap_or_default();
        let files = map.optional("files", errors, Node::strings).unwrap_or_default();
        map.finish(errors);
        headers.extend(plain.into_iter().chain(secret).map(|text| (header.clone(), Secret::Inline(text))));
        headers.extend(files.iter().map(|path| (header.clone(), Secret::File(relative_to(folder, path)))));
    }
    Some(headers)
}

#[derive(Clone, Copy, PartialEq)]
enum ShowAs {
    Text,
    Secret,
}

/// The value of a key, or of its twin that names a file; not both.
fn either(
    map: &mut Mapping<'_>,
    errors: &mut YamlErrors,
    folder: Option<&Path>,
    (inline, in_file): (&'static str, &'static str),
    show: ShowAs,
) -> Option<Secret> {
    let given = present(map, inline).and_then(|node| match show {
        ShowAs::Text => node.string(errors),
        ShowAs::Secret => node.secret(errors).map(|secret| secret.reveal().to_owned()),
    });
    let given = given.filter(|text| !text.is_empty());
    let Some(node) = present(map, in_file) else { return given.map(Secret::Inline) };
    let path = file(&node, errors, folder);
    if given.is_some() {
        errors.push(node.error(format!("{in_file} cannot stand beside {inline}")).expected("at most one of the two"));
    }
    path.map(Secret::File)
}

fn file(node: &Node<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> Option<std::path::PathBuf> {
    node.nonempty_string(errors).map(|path| relative_to(folder, &path))
}

fn present<'d>(map: &mut Mapping<'d>, key: &'static str) -> Option<Node<'d>> {
    map.get(key).filter(|node| !node.is_null())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{HttpClientSection, http_client};
    use crate::net::{Auth, Pem, Redirects, Secret, TlsVersion};
    use crate::yaml::{Document, YamlErrors};

    fn read(text: &str) -> Result<HttpClientSection, String> {
        let doc = Document::parse("t.yml", text).expect("YAML");
        let mut errors = YamlErrors::default();
        let mut map = doc.root().mapping(&mut errors);
        let section = http_client(&mut map, &mut errors, Some(Path::new("/etc/wf")));
        map.finish(&mut errors);
        errors.into_result(section).map_err(|errors| errors.to_string())
    }

    #[test]
    fn good_settings() {
        let token = |credentials| Some(Auth::Authorization { scheme: "Bearer".to_owned(), credentials });
        let inline = |text: &str| Secret::Inline(text.to_owned());
        let cases = [
            ("", None),
            ("bearer_token: abc", token(inline("abc"))),
            ("bearer_token_file: t", token(Secret::File("/etc/wf/t".into()))),
            ("authorization: {credentials: abc}", token(inline("abc"))),
            ("authorization: {credentials_file: /run/t}", token(Secret::File("/run/t".into()))),
            (
                "authorization: {type: Token, credentials: abc}",
                Some(Auth::Authorization { scheme: "Token".to_owned(), credentials: inline("abc") }),
            ),
            (
                "basic_auth: {username: u, password_file: p}",
                Some(Auth::Basic { username: inline("u"), password: Secret::File("/etc/wf/p".into()) }),
            ),
        ];
        for (text, expected) in cases {
            let found = read(text).expect(text);
            assert_eq!(found.client.auth, expected, "{text}");
            assert!(!format!("{found:?}").contains("abc"), "{text}");
        }
        let found = read(
            "follow_redirects: false\nenable_http2: true\nproxy_from_environment: false\n\
             tls_config: {ca_file: ca.pem, cert_file: c.pem, key_file: /k.pem, server_name: a.example, \
             insecure_skip_verify: true, min_version: TLS13}\n\
             http_headers: {X-Team: {values: [a, b]}, X-Key: {secrets: [s], files: [f]}}\n",
        )
        .expect("good");
        assert_eq!(found.redirects, Redirects::Never);
        let tls = &found.client.tls;
        assert_eq!(tls.ca, Some(Pem::File("/etc/wf/ca.pem".into())));
        assert_eq!(tls.key, Some(Pem::File("/k.pem".into())));
        assert_eq!((tls.min_version, tls.insecure_skip_verify), (Some(TlsVersion::Tls13), true));
        let headers: Vec<String> =
            found.client.headers.iter().map(|(name, value)| format!("{name} {value:?}")).collect();
        assert_eq!(headers, ["x-team <secret>", "x-team <secret>", "x-key <secret>", "x-key \"/etc/wf/f\""]);
    }

    #[test]
    fn bad_settings() {
        let cases = [
            ("basic_auth: {username: u}\nbearer_token: t", "bearer_token cannot stand beside basic_auth"),
            ("authorization: {credentials: t}\nbearer_token_file: t", "at most one of"),
            ("basic_auth: {username: u, username_file: f}", "username_file cannot stand beside username"),
            ("basic_auth: {password: u, password_file: f}", "password_file cannot stand beside password"),
            ("basic_auth: {user: u}", "unknown key"),
            ("authorization: {type: basic, credentials: x}", "basic_auth instead"),
            ("authorization: {type: 'a b', credentials: x}", "cannot stand in a header"),
            ("authorization: {}", "credentials or credentials_file"),
            ("authorization: {credentials: a, credentials_file: b}", "at most one of the two"),
            ("tls_config: {ca: x, ca_file: y}", "ca_file cannot stand beside ca"),
            ("tls_config: {ca: x}", "BEGIN CERTIFICATE"),
            ("tls_config: {cert_file: y}", "expected a key beside the certificate"),
            ("tls_config: {key_file: y}", "expected a certificate beside the key"),
            ("tls_config: {min_version: TLS13, max_version: TLS12}", "min_version up to max_version"),
            ("tls_config: {max_version: TLS11}", "TLS below 1.2 is not spoken"),
            ("tls_config: {min_version: SSL3}", "TLS10"),
            ("tls_config: {server_name: 'a b'}", "expected a host name"),
            ("proxy_url: http://p:1", "without a proxy"),
            ("proxy_from_environment: true", "expected false"),
            ("oauth2: {client_id: x}", "OAuth 2 is not spoken"),
            ("http_headers: {Authorization: {values: [x]}}", "written by other settings"),
            ("http_headers: {'a b': {values: [x]}}", "cannot be the name of a header"),
            ("http_headers: {X: {value: x}}", "unknown key"),
        ];
        for (text, expected) in cases {
            let found = read(text).expect_err(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }
}
