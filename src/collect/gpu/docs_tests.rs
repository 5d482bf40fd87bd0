//! `docs/metrics.md` says what is published: the table of aliases is made from the code, every family is named.

use super::{FAMILIES, alias_table};
use crate::collect::catalogue;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
const BEGIN: &str = "<!-- aliases of GPUs, made by WATCHFIRE_GOLDENS=write cargo test --lib gpu::docs -->\n";
const END: &str = "<!-- end of aliases -->\n";

fn table() -> String {
    let mut table = String::from("| name | is | times |\n|---|---|---|\n");
    for (name, own, factor) in alias_table() {
        let times = match factor {
            0.0 => "one bit a reason".to_owned(),
            1.0 => "1".to_owned(),
            factor if factor < 1e-3 => format!("1 / {}", (1.0 / factor).round()),
            factor => factor.to_string(),
        };
        table.push_str(&format!("| `{name}` | `{own}` | {times} |\n"));
    }
    table
}

#[test]
fn the_table_of_aliases_is_the_code_s() {
    let docs = std::fs::read_to_string(DOCS).unwrap();
    let (before, rest) = docs.split_once(BEGIN).expect("the begin of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    if std::env::var_os("WATCHFIRE_GOLDENS").is_some_and(|value| value == "write") {
        std::fs::write(DOCS, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    assert!(found == table(), "the aliases changed: WATCHFIRE_GOLDENS=write cargo test --lib gpu::docs");
}

#[test]
fn every_family_of_gpus_and_cgroups_is_named() {
    let docs = std::fs::read_to_string(DOCS).unwrap();
    let cgroups = catalogue::all().filter(|desc| desc.name.starts_with("container_"));
    for desc in FAMILIES.iter().copied().flatten().chain(cgroups) {
        assert!(docs.contains(&format!("`{}`", desc.name)), "docs/metrics.md lacks {}", desc.name);
    }
}
