//! Typed reading of YAML: every error of a document at once, each with file, line, column and path.
//!
//! `serde_yaml` stops at its first error and knows no places for values that are right in type but wrong in
//! meaning, so reading goes over a tree of marked events ([`Document`], [`Node`], [`Mapping`]) and serde_yaml only
//! writes ([`to_string`]). This is the one room that names either crate.
//!
//! Anchors, aliases and merge keys (`<<`) work; only the first document of a file is read; an empty document is an
//! empty mapping; depth, size and what aliases expand to are bounded.
//!
//! ```
//! use watchfire::yaml::{Document, Node, YamlErrors};
//! let doc = Document::parse("demo.yml", "interval: 15s\nlimt: 3\n").unwrap();
//! let mut errors = YamlErrors::default();
//! let mut map = doc.root().mapping(&mut errors);
//! let interval = map.optional("interval", &mut errors, Node::duration);
//! let limit = map.optional("limit", &mut errors, Node::integer::<u32>);
//! map.finish(&mut errors);
//! assert_eq!(interval, Some(std::time::Duration::from_secs(15)));
//! assert_eq!(limit, None);
//! assert_eq!(errors.to_string(), r#"demo.yml:2:1: limt: unknown key; expected one of interval, limit; did you mean "limit"?"#);
//! ```

mod align;
mod decode;
mod document;
mod emit;
mod errors;
mod load;
mod mapping;
mod nearest;
mod node;
mod secret;
mod tree;

#[cfg(test)]
mod tests;

pub use decode::Bounded;
pub use document::Document;
pub use emit::{EmitError, to_string};
pub use errors::{Mark, YamlError, YamlErrors};
pub use mapping::Mapping;
pub use nearest::nearest;
pub use node::Node;
pub use secret::Secret;
