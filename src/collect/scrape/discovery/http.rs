//! `http_sd_configs`: a server answers with a list of groups.

use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};

use super::MAX_BYTES;
use super::group::from_json;
use crate::collect::scrape::{HttpSd, TargetGroup};
use crate::net::{HttpClient, HttpRequest, Redirects, without_userinfo};

/// Asks once.
///
/// # Errors
/// Why there is no list: no answer, another status than 200, another type than JSON, another form.
pub(in crate::collect::scrape) async fn fetch(
    client: &HttpClient,
    config: &HttpSd,
) -> Result<Vec<TargetGroup>, String> {
    let place = without_userinfo(&config.url);
    let mut request = HttpRequest::get(config.url.as_str())
        .timeout(config.refresh_interval)
        .header(ACCEPT, HeaderValue::from_static("application/json"));
    let seconds = config.refresh_interval.as_secs_f64().to_string();
    if let Ok(seconds) = HeaderValue::from_str(&seconds) {
        request = request.header(HeaderName::from_static("x-prometheus-refresh-interval-seconds"), seconds);
    }
    request.max_body = MAX_BYTES;
    request.redirects = if config.follow_redirects { Redirects::Anywhere } else { Redirects::Never };
    let response = client.send(request).await.map_err(|error| error.to_string())?;
    if response.status != StatusCode::OK {
        return Err(format!("{place} returned HTTP status {}", response.status));
    }
    if !is_json(response.content_type()) {
        let found = response.content_type();
        return Err(format!("{place} returned the content type {found:?}: expected application/json"));
    }
    from_json(&response.body, &place, ("__meta_url", &place)).map_err(|problem| format!("{place}: {problem}"))
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    parts.next().is_some_and(|media| media == "application/json")
        && parts.all(|part| matches!(part.as_str(), "charset=utf-8" | "charset=\"utf-8\""))
}

#[cfg(test)]
mod tests {
    use super::fetch;
    use crate::collect::scrape::HttpSd;
    use crate::collect::scrape::fake::{serve, set};
    use crate::net::{ClientConfig, HttpClient};
    use std::time::Duration;

    #[tokio::test]
    async fn answers_are_lists_or_errors() {
        let (address, pages) = serve().await;
        let config = HttpSd {
            url: format!("http://{address}/sd"),
            refresh_interval: Duration::from_secs(5),
            client: ClientConfig::default(),
            follow_redirects: true,
        };
        let list = r#"[{"targets": ["a:1"], "labels": {"x": "y"}}]"#;
        let cases = [
            (200, "application/json", list, ""),
            (200, "application/json; charset=utf-8", list, ""),
            (200, "Application/JSON;charset=\"UTF-8\"", list, ""),
            (200, "text/plain", list, "expected application/json"),
            (200, "application/json; charset=latin1", list, "expected application/json"),
            (404, "application/json", list, "HTTP status 404"),
            (200, "application/json", "{}", "list"),
            (200, "application/json", "", "EOF"),
        ];
        for (status, kind, body, expected) in cases {
            set(&pages, "/sd", status, kind, body);
            match fetch(&HttpClient::default(), &config).await {
                Ok(groups) => {
                    assert!(expected.is_empty(), "{kind} {body}");
                    let meta = ("__meta_url".to_owned(), config.url.clone());
                    assert_eq!(groups[0].labels, [("x".to_owned(), "y".to_owned()), meta]);
                }
                Err(problem) => assert!(!expected.is_empty() && problem.contains(expected), "{kind} {body}: {problem}"),
            }
        }
    }
}
