//! The `models` section.

use std::time::Duration;

use crate::collect::llm::{ModelTarget, Runtime};
use crate::yaml::{Node, YamlErrors};

use super::scrape::token_file;

const RUNTIMES: [(&str, Runtime); 3] =
    [("auto", Runtime::Auto), ("llamacpp", Runtime::LlamaCpp), ("vllm", Runtime::Vllm)];

/// Model servers answer slowly while they work; what takes longer is tried again at the next slot.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn models(node: &Node<'_>, errors: &mut YamlErrors, usual: Duration) -> Option<Vec<ModelTarget>> {
    let mut map = node.mapping(errors);
    let mut targets = Vec::new();
    for item in map.get("targets").map(|list| list.list(errors)).unwrap_or_default() {
        let before = errors.len();
        let Some(target) = target(&item, errors, usual) else { continue };
        targets.push(target);
        // What is missing or mistyped has been said; the rest the room knows.
        let name = targets.last().map(|target| target.name.clone()).unwrap_or_default();
        if errors.len() == before {
            for problem in ModelTarget::validate(&targets).into_iter().filter(|problem| problem.target == name) {
                errors.push(item.error(problem.to_string()));
            }
        }
    }
    map.finish(errors);
    Some(targets)
}

fn target(node: &Node<'_>, errors: &mut YamlErrors, usual: Duration) -> Option<ModelTarget> {
    let mut map = node.mapping(errors);
    let name = map.required("name", errors, Node::nonempty_string);
    let url = map.required("url", errors, Node::nonempty_string);
    let interval = map.optional("interval", errors, Node::positive_duration).unwrap_or(usual);
    let target = ModelTarget {
        runtime: map.optional("runtime", errors, |node, errors| node.word(&RUNTIMES, errors)).unwrap_or_default(),
        interval,
        timeout: map
            .optional("timeout", errors, Node::positive_duration)
            .unwrap_or_else(|| interval.min(LONGEST_TIMEOUT)),
        api_key: map
            .optional("api_key", errors, Node::secret)
            .map(|secret| secret.reveal().to_owned())
            .or_else(|| map.optional("api_key_file", errors, token_file)),
        name: name.clone().unwrap_or_default(),
        url: url.clone().unwrap_or_default(),
    };
    map.finish(errors);
    name.and(url).map(|_| target)
}
