//! Names of groups: process-exporter's templates, as far as they name a field.

/// Why a group's name could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// An action was opened and not closed.
    #[error("{{{{ without }}}}")]
    Open,
    /// A field that there is not.
    #[error(
        "unknown field {0}: expected .Comm, .ExeBase, .ExeFull, .Username, .PID, .StartTime, .Cgroups or .Matches.NAME"
    )]
    Field(String),
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
            let (field, tail) = after.split_once("}}").ok_or(TemplateError::Open)?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(field_piece(field.trim())?);
            rest = tail;
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
                    let value = facts.captures.iter().find(|(known, _)| known == name);
                    out.push_str(value.map_or("", |(_, value)| value));
                }
            }
        }
        out
    }
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
        field => match field.strip_prefix(".Matches.") {
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
        ] {
            assert_eq!(NameTemplate::parse(template).unwrap().render(&facts), expected, "{template}");
        }
        assert_eq!(
            (go_time(0.0), go_time(1.1)),
            ("1970-01-01 00:00:00 +0000 UTC".into(), "1970-01-01 00:00:01.1 +0000 UTC".into())
        );
    }
}
