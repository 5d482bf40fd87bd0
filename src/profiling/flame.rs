//! A profile as a flame graph (SVG).

use std::fmt::Write as _;

use super::symbols::Symbols;
use super::{Profile, ProfileError};

/// Draws the first column of values. A profile without samples gives an SVG that says so.
pub(super) fn draw(profile: &Profile, symbols: &mut Symbols) -> Result<Vec<u8>, ProfileError> {
    let lines: Vec<String> = profile.stacks.iter().filter_map(|stack| folded(stack, symbols)).collect();
    if lines.is_empty() {
        let empty = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"600\" height=\"40\"><text x=\"10\" y=\"25\">\
                     No CPU time was used while the profile ran.</text></svg>";
        return Ok(empty.as_bytes().to_vec());
    }
    let mut options = pprof::flamegraph::Options::default();
    options.title = "watchfire: CPU".to_owned();
    "samples".clone_into(&mut options.count_name);
    let mut svg = Vec::new();
    pprof::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)
        .map_err(|error| ProfileError::failed("draw the flame graph", error))?;
    Ok(svg)
}

/// `thread;outer;inner 3`
fn folded(stack: &super::Stack, symbols: &mut Symbols) -> Option<String> {
    let part = symbols.program_part(&stack.addresses);
    let mut line = stack.thread.clone().unwrap_or_default().replace([';', ' '], "_");
    for address in part.iter().rev() {
        for frame in symbols.at(*address).iter().rev() {
            line.push(';');
            line.push_str(&frame.name.replace(';', ":"));
        }
    }
    let count = stack.values.first().filter(|count| !part.is_empty() && **count > 0)?;
    write!(line, " {count}").ok()?;
    Some(line)
}
