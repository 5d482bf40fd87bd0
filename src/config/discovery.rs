//! `static_configs`, `file_sd_configs`, `http_sd_configs`.

use std::path::Path;
use std::time::Duration;

use crate::collect::scrape::{FileSd, HttpSd, TargetGroup};
use crate::net::{Redirects, parse_url};
use crate::yaml::{Node, YamlErrors};

use super::global::{labels, or_default};
use super::http_client::http_client;
use super::relative_to;

/// How often files are read again although nothing changed, and servers asked.
const FILE_REFRESH: Duration = Duration::from_secs(300);
const HTTP_REFRESH: Duration = Duration::from_secs(60);
/// Ways of discovery that Prometheus knows and this version does not.
pub(super) const NOT_HERE: [&str; 29] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "dns_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "ecs_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "openstack_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

pub(super) fn static_configs(node: &Node<'_>, errors: &mut YamlErrors) -> Option<Vec<TargetGroup>> {
    let mut groups = Vec::new();
    for (index, group) in node.list(errors).into_iter().enumerate() {
        let mut map = group.mapping(errors);
        let addresses = map.optional("targets", errors, Node::strings).unwrap_or_default();
        let labels = map.optional("labels", errors, labels).unwrap_or_default();
        map.finish(errors);
        let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        groups.push(TargetGroup { source: index.to_string(), addresses, labels });
    }
    Some(groups)
}

pub(super) fn file_sd(node: &Node<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> Option<Vec<FileSd>> {
    Some(node.list_of(errors, |item, errors| {
        let mut map = item.mapping(errors);
        let files = map.required("files", errors, |files, errors| {
            if files.is_list() && files.list(errors).is_empty() {
                errors.push(files.error("there is no file").expected("at least one name"));
            }
            Some(files.list_of(errors, |file, errors| {
                let name = file.nonempty_string(errors)?;
                if !is_file_pattern(&name) {
                    let expected = "a path that ends with .json, .yml or .yaml, with * only in its last part";
                    errors.push(file.error(format!("{name:?} cannot name files with targets")).expected(expected));
                }
                Some(relative_to(folder, &name))
            }))
        });
        let refresh_interval = or_default(&mut map, "refresh_interval", errors).unwrap_or(FILE_REFRESH);
        map.finish(errors);
        Some(FileSd { files: files?, refresh_interval })
    }))
}

/// As Prometheus has it: `*` in the last part of the path, and a known ending.
fn is_file_pattern(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let known = ["json", "yml", "yaml", "JSON", "YML", "YAML"].contains(&ending);
    let after_star = name.split_once('*').map_or("", |(_, after)| after);
    known && !after_star.contains('/')
}

pub(super) fn http_sd(node: &Node<'_>, errors: &mut YamlErrors, folder: Option<&Path>) -> Option<Vec<HttpSd>> {
    Some(node.list_of(errors, |item, errors| {
        let mut map = item.mapping(errors);
        let url = map.required("url", errors, |node, errors| {
            let url = node.nonempty_string(errors)?;
            match parse_url(&url) {
                Ok(uri) if uri.authority().is_some_and(|place| place.as_str().contains('@')) => {
                    let expected = "a URL without user and password; basic_auth beside it takes them";
                    errors.push(node.error("the URL has a user in it").expected(expected));
                    None
                }
                Ok(_) => Some(url),
                Err(error) => {
                    errors.push(node.error(error.to_string()));
                    None
                }
            }
        });
        let refresh_interval =
            map.optional("refresh_interval", errors, Node::positive_duration).unwrap_or(HTTP_REFRESH);
        let connection = http_client(&mut map, errors, folder);
        map.finish(errors);
        let follow_redirects = connection.redirects != Redirects::Never;
        Some(HttpSd { url: url?, refresh_interval, client: connection.client, follow_redirects })
    }))
}
