//! Names of groups: process-exporter's templates, as far as they name a field.

/// Why a group's name could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// An action was opened and not closed.
    #[error("{{{{ without }}}}")]
    Open,
    /// A field that there is not.
    #[error("unknown field {0}: expected .Comm, .ExeBase, .ExeFull, .PID or .Matches.NAME")]
    Field(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Comm,
    ExeBase,
    ExeFull,
    Pid,
    Capture(String),
}

/// A name that was read once and is filled for each process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameTemplate(Vec<Piece>);

/// What a name can be filled with.
pub(super) struct Facts<'a> {
    pub(super) comm: &'a str,
    pub(super) exe: &'a str,
    pub(super) pid: i32,
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

    pub(super) fn render(&self, facts: &Facts<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Comm => out.push_str(facts.comm),
                Piece::ExeBase => out.push_str(base_name(facts.exe)),
                Piece::ExeFull => out.push_str(facts.exe),
                Piece::Pid => out.push_str(&facts.pid.to_string()),
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
        ".PID" => Piece::Pid,
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
