//! `watchfire promql`: the language without a server.

use std::io::Read;

use crate::limits::MAX_QUERY_BYTES;
use crate::promql::parser::{parse, pretty};

use super::args::PromqlCommand;
use super::{Outcome, failed};

pub(super) fn run(command: PromqlCommand) -> Outcome {
    let PromqlCommand::Format { expr, check } = command;
    let text = match expr {
        Some(text) if text != "-" => text,
        _ => match from_stdin() {
            Ok(text) => text,
            Err(error) => return failed(format!("cannot read standard input: {error}")),
        },
    };
    match format(&text, check) {
        Ok(_) if check => Outcome::Ok,
        Ok(formatted) => {
            println!("{formatted}");
            Outcome::Ok
        }
        Err(error) => failed(error),
    }
}

/// The formatted text, or why there is none; with `check`, also that it is not what was given.
fn format(text: &str, check: bool) -> Result<String, String> {
    let formatted = parse(text).map(|expr| pretty(&expr)).map_err(|error| error.to_string())?;
    if check && text.trim_end() != formatted {
        return Err("the expression is not formatted; without --check its formatted form is printed".to_owned());
    }
    Ok(formatted)
}

/// All of it, or one byte more than the parser takes.
fn from_stdin() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(MAX_QUERY_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn formats_checks_and_refuses() {
        let unformatted = "the expression is not formatted; without --check its formatted form is printed";
        let cases = [
            ("sum( up )BY(job) # all", false, Ok("sum by (job) (up)")),
            ("sum( up )BY(job)", true, Err(unformatted)),
            ("sum by (job) (up)\n", true, Ok("sum by (job) (up)")),
            ("up +\n  *", false, Err("2:3: parse error: unexpected <op:*>")),
        ];
        for (text, check, expected) in cases {
            let found = format(text, check);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
