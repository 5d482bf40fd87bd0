//! Names of groups: process-exporter's templates, as far as they name a field.

/// Why a group's name could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// An action was opened and not closed.
    #[error("{{{{ without }}}}")]
    Open,
    /// A field that there is not.
    #[error(
        "unknown field {0}: expected .Comm, .ExeBase, .ExeFull, .Username, .PID, .StartTime, .Cgroups, .Matches.NAME or index .Matches \"NAME\""
    )]
    Field(String),
    /// A capture that no pattern of `cmdline` has.
    #[error("no capture {name:?}: patterns of cmdline have {known}")]
    Capture {
        /// Its name.
        name: String,
        /// Those that there are.
        known: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Comm,
    ExeBase,
    ExeFull,
    Username,
    Pid,
    StartTime,
    Cgroups,
    Capture(String),
}

/// A name that was read once and is filled for each process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameTemplate(Vec<Piece>);

/// What a name can be filled with.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) comm: &'a str,
    pub(super) exe: &'a str,
    pub(super) user: &'a str,
    pub(super) pid: i32,
    /// Seconds since the epoch.
    pub(super) start_time: Option<f64>,
    pub(super) cgroups: &'a [String],
    pub(super) captures: &'a [(String, String)],
}

impl NameTemplate {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Ok(Self(vec![Piece::ExeBase]));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (action, tail) = after.split_once("}}").ok_or(TemplateError::Open)?;
            let (trims_before, action, trims_after) = trim_markers(action);
            let before = if trims_before { before.trim_end() } else { before };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(field_piece(action)?);
            rest = if trims_after { tail.trim_start() } else { tail };
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The name when it is the same for every process.
    pub(super) fn constant(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The names that it gives to processes of these lists, one of which has to be given; none when that depends on more.
    pub(super) fn names(&self, comms: &[String], exes: &[String]) -> Vec<String> {
        let only =
            |fields: &[Piece]| self.0.iter().all(|piece| matches!(piece, Piece::Text(_)) || fields.contains(piece));
        let facts = Facts { comm: "", exe: "", user: "", pid: 0, start_time: None, cgroups: &[], captures: &[] };
        if let Some(text) = self.constant() {
            vec![text.to_owned()]
        } else if only(&[Piece::Comm]) {
            comms.iter().map(|comm| self.render(&Facts { comm, ..facts })).collect()
        } else if only(&[Piece::ExeBase]) {
            exes.iter().map(|exe| self.render(&Facts { exe, ..facts })).collect()
        } else {
            Vec::new()
        }
    }

    /// The captures that it names.
    pub(super) fn captures(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Capture(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether it needs the process's user.
    pub(super) fn names_user(&self) -> bool {
        self.0.contains(&Piece::Username)
    }

    /// Whether it needs the process's cgroups.
    pub(super) fn names_cgroups(&self) -> bool {
        self.0.contains(&Piece::Cgroups)
    }

    pub(super) fn render(&self, facts: &Facts<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Comm => out.push_str(facts.comm),
                Piece::ExeBase => out.push_str(base_name(facts.exe)),
                Piece::ExeFull => out.push_str(facts.exe),
                Piece::Username => out.push_str(facts.user),
                Piece::Pid => out.push_str(&facts.pid.to_string()),
                Piece::StartTime => out.push_str(&facts.start_time.map(go_time).unwrap_or_default()),
                // As Go prints a list of strings.
                Piece::Cgroups => out.push_str(&format!("[{}]", facts.cgroups.join(" "))),
                Piece::Capture(name) => {
                    // Of patterns that share a name the last one counts, as in process-exporter.
                    let value = facts.captures.iter().rfind(|(known, _)| known == name);
                    out.push_str(value.map_or("", |(_, value)| value));
                }
            }
        }
        out
    }
}

/// What stands in an action, and whether a minus says that blanks before and after it are to go.
fn trim_markers(action: &str) -> (bool, &str, bool) {
    let before = action.strip_prefix('-').filter(|rest| rest.starts_with(char::is_whitespace));
    let action = before.unwrap_or(action);
    let after = action.strip_suffix('-').filter(|rest| rest.ends_with(char::is_whitespace));
    (before.is_some(), after.unwrap_or(action).trim(), after.is_some())
}

/// The name in `index .Matches "name"`.
fn indexed(action: &str) -> Option<&str> {
    let rest = action.strip_prefix("index")?.trim_start().strip_prefix(".Matches")?.trim();
    let quoted = |quote: char| rest.strip_prefix(quote)?.strip_suffix(quote);
    quoted('"').or_else(|| quoted('`')).filter(|name| !name.contains(['"', '`', '\\']))
}

fn field_piece(field: &str) -> Result<Piece, TemplateError> {
    Ok(match field {
        ".Comm" => Piece::Comm,
        ".ExeBase" => Piece::ExeBase,
        ".ExeFull" => Piece::ExeFull,
        ".Username" => Piece::Username,
        ".PID" => Piece::Pid,
        ".StartTime" => Piece::StartTime,
        ".Cgroups" => Piece::Cgroups,
        field => match field.strip_prefix(".Matches.").or_else(|| indexed(field)) {
            Some(name) => Piece::Capture(name.to_owned()),
            None => return Err(TemplateError::Field(field.to_owned())),
        },
    })
}

/// The last part of a path.
pub(super) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A time as Go prints it: `2026-01-02 15:04:05.5 +0000 UTC`, without zeros at the end of the fraction.
fn go_time(seconds: f64) -> String {
    let centis = (seconds * 100.0).round() as i64;
    let time = jiff::Timestamp::from_millisecond(centis.saturating_mul(10)).unwrap_or_default();
    let whole = time.strftime("%Y-%m-%d %H:%M:%S");
    match centis.rem_euclid(100) {
        0 => format!("{whole} +0000 UTC"),
        rest if rest % 10 == 0 => format!("{whole}.{} +0000 UTC", rest / 10),
        rest => format!("{whole}.{rest:02} +0000 UTC"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, NameTemplate, go_time};

    #[test]
    fn every_field() {
        let cgroups = ["/a".to_owned(), "/b c".to_owned()];
        let captures = [("x".to_owned(), "7".to_owned())];
        let facts = Facts {
            comm: "c",
            exe: "/bin/e",
            user: "u",
            pid: 12,
            start_time: Some(1_000_000_000.25),
            cgroups: &cgroups,
            captures: &captures,
        };
        for (template, expected) in [
            ("", "e"),
            ("{{ .Comm }}-{{.ExeFull}}", "c-/bin/e"),
            ("{{.Username}}:{{.PID}}", "u:12"),
            ("{{.StartTime}}", "2001-09-09 01:46:40.25 +0000 UTC"),
            ("{{.Cgroups}}", "[/a /b c]"),
            ("{{.Matches.x}}{{.Matches.none}}", "7"),
            ("{{.ExeBase}}:{{.Matches.x}}", "e:7"),
            (r#"{{ index .Matches "x" }}{{index .Matches `x`}}"#, "77"),
            ("a  {{- .Comm -}}  b {{- /x", "error"),
            ("a  {{- .Comm -}}  b {{ .PID }}", "acb 12"),
            ("{{-.Comm}}", "error"),
            (r#"{{index .Matches x}}"#, "error"),
            (r#"{{index .Matches "x" "y"}}"#, "error"),
        ] {
            let found = NameTemplate::parse(template).map_or("error".into(), |name| name.render(&facts));
            assert_eq!(found, expected, "{template}");
        }
        assert_eq!(
            (go_time(0.0), go_time(1.1)),
            ("1970-01-01 00:00:00 +0000 UTC".into(), "1970-01-01 00:00:01.1 +0000 UTC".into())
        );
    }
}
