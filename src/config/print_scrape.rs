//! Scrape jobs as the shown configuration has them: what is in force, secrets left out.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::collect::scrape::{ScrapeConfig, TargetGroup};
use crate::model::format_duration;
use crate::net::{Auth, ClientConfig, Pem, Secret, without_userinfo};
use crate::relabel::{RelabelConfig, RelabelRules};

const SECRET: &str = "<secret>";

#[derive(Serialize)]
pub(super) struct Job {
    job_name: String,
    honor_labels: bool,
    honor_timestamps: bool,
    track_timestamps_staleness: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    params: BTreeMap<String, Vec<String>>,
    scrape_interval: String,
    scrape_timeout: String,
    scrape_protocols: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback_scrape_protocol: Option<&'static str>,
    scrape_native_histograms: bool,
    always_scrape_classic_histograms: bool,
    convert_classic_histograms_to_nhcb: bool,
    extra_scrape_metrics: bool,
    metrics_path: String,
    scheme: String,
    enable_compression: bool,
    follow_redirects: bool,
    #[serde(flatten)]
    limits: BTreeMap<&'static str, usize>,
    metric_name_validation_scheme: &'static str,
    metric_name_escaping_scheme: &'static str,
    #[serde(flatten)]
    client: Client,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    static_configs: Vec<Group>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    file_sd_configs: Vec<File>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http_sd_configs: Vec<Http>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relabel_configs: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metric_relabel_configs: Vec<Rule>,
}

#[derive(Serialize)]
struct Client {
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_auth: Option<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth2: Option<OAuth2>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_proxy: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tls_config: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http_headers: Vec<String>,
}

#[derive(Serialize)]
struct OAuth2 {
    client_id: String,
    #[serde(flatten)]
    client_secret: BTreeMap<&'static str, String>,
    token_url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<String>,
}

#[derive(Serialize)]
struct Group {
    targets: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct File {
    files: Vec<String>,
    refresh_interval: String,
}

#[derive(Serialize)]
struct Http {
    url: String,
    refresh_interval: String,
    follow_redirects: bool,
    #[serde(flatten)]
    client: Client,
}

#[derive(Serialize)]
struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    source_labels: Option<Vec<String>>,
    separator: String,
    regex: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    modulus: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    target_label: String,
    replacement: String,
    action: &'static str,
}

impl Job {
    pub(super) fn of(job: &ScrapeConfig) -> Self {
        let limits = [
            ("body_size_limit", job.body_size_limit),
            ("sample_limit", job.sample_limit),
            ("target_limit", job.target_limit),
            ("label_limit", job.label_limit),
            ("label_name_length_limit", job.label_name_length_limit),
            ("label_value_length_limit", job.label_value_length_limit),
            ("keep_dropped_targets", job.keep_dropped_targets),
            ("native_histogram_bucket_limit", job.histogram_bucket_limit),
        ];
        Self {
            job_name: job.job_name.clone(),
            honor_labels: job.honor_labels,
            honor_timestamps: job.honor_timestamps,
            track_timestamps_staleness: job.track_timestamps_staleness,
            params: job.params.iter().cloned().collect(),
            scrape_interval: format_duration(job.interval),
            scrape_timeout: format_duration(job.timeout),
            scrape_protocols: job.protocols.iter().map(|protocol| protocol.name()).collect(),
            fallback_scrape_protocol: job.fallback_protocol.map(|protocol| protocol.name()),
            scrape_native_histograms: job.native_histograms,
            always_scrape_classic_histograms: job.always_classic_histograms,
            convert_classic_histograms_to_nhcb: job.custom_histograms,
            extra_scrape_metrics: job.extra_metrics,
            metrics_path: job.metrics_path.clone(),
            scheme: job.scheme.clone(),
            enable_compression: job.enable_compression,
            follow_redirects: job.follow_redirects,
            limits: limits.into_iter().filter(|(_, limit)| *limit > 0).collect(),
            metric_name_validation_scheme: if job.legacy_names { "legacy" } else { "utf8" },
            metric_name_escaping_scheme: job.escaping.name(),
            client: Client::of(&job.client),
            static_configs: job.static_configs.iter().map(Group::of).collect(),
            file_sd_configs: job
                .file_sd
                .iter()
                .map(|file| File {
                    files: file.files.iter().map(|path| path.display().to_string()).collect(),
                    refresh_interval: format_duration(file.refresh_interval),
                })
                .collect(),
            http_sd_configs: job
                .http_sd
                .iter()
                .map(|http| Http {
                    url: without_userinfo(&http.url),
                    refresh_interval: format_duration(http.refresh_interval),
                    follow_redirects: http.follow_redirects,
                    client: Client::of(&http.client),
                })
                .collect(),
            relabel_configs: rules(&job.relabel),
            metric_relabel_configs: rules(&job.metric_relabel),
        }
    }
}

impl Client {
    fn of(config: &ClientConfig) -> Self {
        let (mut basic_auth, mut authorization, mut oauth2) = (None, None, None);
        match &config.auth {
            Some(Auth::Basic { username, password }) => {
                let mut shown = BTreeMap::new();
                match username {
                    Secret::Inline(name) => shown.insert("username", name.clone()),
                    Secret::File(path) => shown.insert("username_file", path.display().to_string()),
                };
                secret(&mut shown, ("password", "password_file"), password);
                basic_auth = Some(shown);
            }
            Some(Auth::Authorization { scheme, credentials }) => {
                let mut shown = BTreeMap::from([("type", scheme.clone())]);
                secret(&mut shown, ("credentials", "credentials_file"), credentials);
                authorization = Some(shown);
            }
            Some(Auth::OAuth2(config)) => {
                let mut client_secret = BTreeMap::new();
                secret(&mut client_secret, ("client_secret", "client_secret_file"), &config.client_secret);
                let (client_id, scopes) = (config.client_id.clone(), config.scopes.clone());
                oauth2 =
                    Some(OAuth2 { client_id, client_secret, token_url: without_userinfo(&config.token_url), scopes });
            }
            None => {}
        }
        let proxy = config.proxy.as_ref();
        let proxy_url = proxy.and_then(|proxy| proxy.http.as_ref().or(proxy.https.as_ref()));
        let proxy_url = proxy_url.map(|url| format!("http://{}", url.place()));
        let no_proxy = proxy.and_then(|proxy| proxy.no_proxy.as_ref()).map(|no_proxy| no_proxy.as_str().to_owned());
        let no_proxy = no_proxy.filter(|list| proxy_url.is_some() && !list.is_empty());
        let tls = &config.tls;
        let mut tls_config = BTreeMap::new();
        for (keys, pem) in
            [(("ca", "ca_file"), &tls.ca), (("cert", "cert_file"), &tls.cert), (("key", "key_file"), &tls.key)]
        {
            match pem {
                // Certificates are no secrets, but of no use here either.
                Some(Pem::Inline(_)) => tls_config.insert(keys.0, SECRET.to_owned()),
                Some(Pem::File(path)) => tls_config.insert(keys.1, path.display().to_string()),
                None => None,
            };
        }
        if let Some(name) = &tls.server_name {
            tls_config.insert("server_name", name.clone());
        }
        if tls.insecure_skip_verify {
            tls_config.insert("insecure_skip_verify", "true".to_owned());
        }
        let http_headers = config.headers.iter().map(|(name, _)| format!("{name}: {SECRET}")).collect();
        Self { basic_auth, authorization, oauth2, proxy_url, no_proxy, tls_config, http_headers }
    }
}

fn secret(shown: &mut BTreeMap<&'static str, String>, keys: (&'static str, &'static str), secret: &Secret) {
    match secret {
        Secret::Inline(_) => shown.insert(keys.0, SECRET.to_owned()),
        Secret::File(path) => shown.insert(keys.1, path.display().to_string()),
    };
}

impl Group {
    fn of(group: &TargetGroup) -> Self {
        Self { targets: group.addresses.clone(), labels: group.labels.iter().cloned().collect() }
    }
}

fn rules(rules: &RelabelRules) -> Vec<Rule> {
    let rule = |rule: &RelabelConfig| Rule {
        source_labels: rule.source_labels.clone(),
        separator: rule.separator.clone(),
        regex: rule.regex.clone(),
        modulus: (rule.modulus > 0).then_some(rule.modulus),
        target_label: rule.target_label.clone(),
        replacement: rule.replacement.clone(),
        action: rule.action.name(),
    };
    rules.configs().map(rule).collect()
}
