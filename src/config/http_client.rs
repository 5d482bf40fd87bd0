//! Prometheus' settings of HTTP clients, as scrape jobs, discovery, notifications and remote write have them among their own keys:
//! `basic_auth`, `authorization`, `bearer_token`, `bearer_token_file`, `oauth2`, `tls_config`, `follow_redirects`, `http_headers`, `proxy_url`, `no_proxy`,
//! `proxy_from_environment`, `proxy_connect_header`.
//!
//! Files are named here and read when they are used, so a token that is not there yet fails its requests, not the start.

use std::path::Path;

use hyper::header::HeaderName;

use crate::net::{
    Auth, ClientConfig, NoProxy, OAuth2Config, Pem, ProxyConfig, ProxyUrl, Redirects, Secret, TlsConfig, TlsVersion,
    parse_url,
};
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
    // Known, and without meaning where no HTTP/2 is spoken.
    let _ = map.optional("enable_http2", errors, Node::boolean);
    let follow = map.optional("follow_redirects", errors, Node::boolean).unwrap_or(true);
    let auth = auth(map, errors, folder);
    let tls = map.optional("tls_config", errors, |node, errors| tls_config(node, errors, folder)).unwrap_or_default();
    let headers =
        map.optional("http_headers", errors, |node, errors| headers(node, errors, folder)).unwrap_or_default();
    HttpClientSection {
        client: ClientConfig { tls, auth, headers, proxy: proxy(map, errors), ..ClientConfig::default() },
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
    if let Some(node) = present(map, "oauth2") {
        let auth = oauth2(&node, errors, folder);
        found.push(("oauth2", node, auth.map(|config| Auth::OAuth2(Box::new(config)))));
    }
    if let [(first, ..), (second, node, _), ..] = &found[..] {
        let all = "at most one of basic_auth, authorization, oauth2, bearer_token and bearer_token_file";
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

/// A server that gives tokens.
fn oauth2(node: &Node<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> Option<OAuth2Config> {
    let mut map = node.mapping(errors);
    let client_id = map.required("client_id", errors, Node::nonempty_string);
    let secret = either(&mut map, errors, folder, ("client_secret", "client_secret_file"), ShowAs::Secret);
    let token_url = map.required("token_url", errors, |node, errors| {
        let url = node.nonempty_string(errors)?;
        parse_url(&url).map_err(|error| errors.push(node.error(error.to_string()))).ok().map(|_| url)
    });
    let scopes = map.optional("scopes", errors, Node::strings).unwrap_or_default();
    let params = map.optional("endpoint_params", errors, Node::string_map).unwrap_or_default();
    let tls = map.optional("tls_config", errors, |node, errors| tls_config(node, errors, folder)).unwrap_or_default();
    let proxy = proxy(&mut map, errors);
    map.finish(errors);
    if secret.is_none() {
        errors.push(node.error("there is no client_secret").expected("client_secret or client_secret_file"));
    }
    let endpoint_params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Some(OAuth2Config {
        client_id: client_id?,
        client_secret: secret?,
        token_url: token_url?,
        scopes,
        endpoint_params,
        tls,
        proxy,
    })
}

/// `proxy_url`, `no_proxy`, `proxy_from_environment`, `proxy_connect_header`: in the combinations that Prometheus takes.
fn proxy(map: &mut Mapping<'_>, errors: &mut YamlErrors) -> Option<ProxyConfig> {
    let of_environment = map.optional("proxy_from_environment", errors, Node::boolean).unwrap_or(false);
    let stated = |node: &Node<'_>| !node.string(&mut YamlErrors::default()).is_some_and(|text| text.is_empty());
    let url = present(map, "proxy_url").filter(stated);
    let no_proxy = present(map, "no_proxy").filter(stated);
    let connect = present(map, "proxy_connect_header");
    let connect_headers = connect.as_ref().and_then(|node| connect_headers(node, errors)).unwrap_or_default();
    if let (true, Some(node)) = (of_environment, &url) {
        errors.push(node.error("proxy_url cannot stand beside proxy_from_environment").expected("one of the two"));
    }
    if let Some(node) = no_proxy.as_ref().filter(|_| of_environment || url.is_none()) {
        errors.push(
            node.error("no_proxy is for a proxy_url").expected("proxy_url beside it, NO_PROXY in the environment"),
        );
    }
    if let Some(node) = connect.as_ref().filter(|_| !of_environment && url.is_none()) {
        errors.push(node.error("there is no proxy for these headers").expected("proxy_url or proxy_from_environment"));
    }
    let found = if of_environment {
        let variable = |name: &str| std::env::var(name).ok();
        let place = map.get("proxy_from_environment")?;
        ProxyConfig::from_environment(variable).map_err(|error| errors.push(place.error(error.to_string()))).ok()
    } else {
        let node = url?;
        let text = node.secret(errors)?.reveal().to_owned();
        let no_proxy = no_proxy.and_then(|node| node.string(errors)).map(|text| NoProxy::parse(&text));
        match ProxyUrl::parse(&text) {
            Ok(url) => Some(ProxyConfig::of(url, no_proxy)),
            Err(error) => {
                errors.push(node.error(error.to_string()).expected("http://host:port of a proxy"));
                None
            }
        }
    };
    found.map(|proxy| ProxyConfig { connect_headers, ..proxy })
}

/// Values by name: always lists, and always secret.
fn connect_headers(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Vec<(HeaderName, Secret)>> {
    let mut headers = Vec::new();
    for (name, node) in node.mapping(errors).pairs() {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            errors.push(node.error(format!("{name:?} cannot be the name of a header")));
            continue;
        };
        let values = node.strings(errors).unwrap_or_default();
        headers.extend(values.into_iter().map(|text| (header.clone(), Secret::Inline(text))));
    }
    Some(headers)
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
    fn proxies() {
        let proxied = |text: &str, target: &str| {
            let proxy = read(text).expect(text).client.proxy;
            assert!(!format!("{proxy:?}").contains("hunter2"), "{proxy:?}");
            proxy.and_then(|proxy| Some(proxy.proxy_of(&target.parse().expect("a URL"))?.place().to_owned()))
        };
        let cases = [
            ("proxy_url: ''", "http://a/", None),
            ("proxy_from_environment: false\nno_proxy: ''", "http://a/", None),
            ("proxy_url: http://u:hunter2@p:1", "http://a/", Some("p:1")),
            ("proxy_url: http://p:1", "https://127.0.0.1/", Some("p:1")),
            ("proxy_url: http://p:1\nno_proxy: 'a,10.0.0.0/8'", "https://a/", None),
            ("proxy_url: http://p:1\nno_proxy: 'a,10.0.0.0/8'", "http://10.1.1.1:9100/", None),
            ("proxy_url: http://p:1\nno_proxy: 'a,10.0.0.0/8'", "http://b:9100/", Some("p:1")),
            ("proxy_url: http://p:1\nproxy_connect_header: {X-Key: [hunter2]}", "https://b/", Some("p:1")),
        ];
        for (text, target, expected) in cases {
            assert_eq!(proxied(text, target).as_deref(), expected, "{text} {target}");
        }
    }

    #[test]
    fn tokens_of_a_server() {
        let text = "oauth2: {client_id: x, client_secret_file: s, token_url: 'https://a/t', scopes: [r, w], \
                    endpoint_params: {audience: b}, tls_config: {insecure_skip_verify: true}, proxy_url: 'http://p:1'}";
        let Some(Auth::OAuth2(config)) = read(text).expect("good").client.auth else { panic!("no tokens") };
        assert_eq!(config.client_secret, Secret::File("/etc/wf/s".into()));
        assert_eq!(
            (config.scopes.len(), &config.endpoint_params[..]),
            (2, &[("audience".to_owned(), "b".to_owned())][..])
        );
        assert!(config.tls.insecure_skip_verify && config.proxy.is_some());
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
            ("proxy_url: socks5://p:1", "unknown scheme socks5"),
            ("proxy_url: https://p:1", "without TLS"),
            ("proxy_url: http://p:1\nproxy_from_environment: true", "cannot stand beside proxy_from_environment"),
            ("no_proxy: a", "proxy_url beside it"),
            ("no_proxy: a\nproxy_from_environment: true", "NO_PROXY in the environment"),
            ("proxy_connect_header: {A: [b]}", "no proxy for these headers"),
            ("proxy_url: http://p:1\nproxy_connect_header: {'a b': [c]}", "cannot be the name of a header"),
            ("oauth2: {client_id: x, client_secret: y}", "token_url"),
            ("oauth2: {client_id: x, token_url: 'http://a'}", "client_secret or client_secret_file"),
            ("oauth2: {client_secret: x, token_url: 'http://a'}", "client_id"),
            ("oauth2: {client_id: x, client_secret: y, token_url: a}", "bad URL"),
            ("oauth2: {client_id: x, client_secret: y, token_url: 'http://a', grant_type: jwt}", "unknown key"),
            ("oauth2: {client_id: x, client_secret: y, token_url: 'http://a'}\nbearer_token: t", "cannot stand beside"),
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
