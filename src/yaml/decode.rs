//! What a scalar can be read as.

use std::time::Duration;

use regex::Regex;

use crate::model::{go_regex, parse_duration};

use super::errors::YamlErrors;
use super::nearest::nearest;
use super::node::Node;
use super::secret::Secret;

impl<'d> Node<'d> {
    /// Any scalar's text as written: `1`, `true` and `"x"` are all strings when a string is asked for.
    pub fn string(&self, errors: &mut YamlErrors) -> Option<String> {
        self.scalar("a string", errors).map(str::to_owned)
    }

    /// As [`Node::string`], but an empty one is an error.
    pub fn nonempty_string(&self, errors: &mut YamlErrors) -> Option<String> {
        let text = self.string(errors)?;
        if text.is_empty() {
            errors.push(self.error("is empty").expected("a string"));
            return None;
        }
        Some(text)
    }

    /// A string that errors, logs and the printed configuration never show.
    pub fn secret(&self, errors: &mut YamlErrors) -> Option<Secret> {
        self.string(errors).map(Secret::new)
    }

    /// `true` or `false`; also `yes`, `no`, `on`, `off`, which YAML 1.1 and Prometheus take.
    pub fn boolean(&self, errors: &mut YamlErrors) -> Option<bool> {
        let text = self.scalar("true or false", errors)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => {
                self.wrong_type("true or false", errors);
                None
            }
        }
    }

    /// A whole number in the bounds of `T`.
    pub fn integer<T: TryFrom<i128> + Bounded>(&self, errors: &mut YamlErrors) -> Option<T> {
        let expected = format!("a whole number from {} to {}", T::LOWEST, T::HIGHEST);
        let text = self.scalar(&expected, errors)?;
        let number = text.replace('_', "").parse::<i128>().ok().and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.wrong_type(&expected, errors);
        }
        number
    }

    /// A number; `.inf` and `.nan` as YAML writes them.
    pub fn float(&self, errors: &mut YamlErrors) -> Option<f64> {
        let text = self.scalar("a number", errors)?;
        let plain = text.replacen('.', "", usize::from(text.contains(".inf") || text.contains(".nan")));
        let number = crate::model::parse_float(&plain);
        if number.is_none() {
            self.wrong_type("a number", errors);
        }
        number
    }

    /// A duration as Prometheus writes them: `30s`, `1h30m`, `0`.
    pub fn duration(&self, errors: &mut YamlErrors) -> Option<Duration> {
        let expected = "a duration such as 500ms, 30s, 5m or 1h30m";
        let text = self.scalar(expected, errors)?;
        match parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
                errors.push(self.error(format!("{text:?} has no unit")).expected(expected));
                None
            }
            Err(_) => {
                errors.push(self.error(format!("bad duration {text:?}")).expected(expected));
                None
            }
        }
    }

    /// A duration above zero.
    pub fn positive_duration(&self, errors: &mut YamlErrors) -> Option<Duration> {
        let duration = self.duration(errors)?;
        if duration.is_zero() {
            errors.push(self.error("must be longer than 0s"));
            return None;
        }
        Some(duration)
    }

    /// A size in bytes: `512MB`, `1GiB`, `0`. As in Prometheus both spellings are powers of 1024.
    pub fn size(&self, errors: &mut YamlErrors) -> Option<u64> {
        let expected = "a size such as 512MB, 1GB or 1.5TB";
        let text = self.scalar(expected, errors)?;
        let size = parse_size(text);
        if size.is_none() {
            errors.push(self.error(format!("bad size {text:?}")).expected(expected));
        }
        size
    }

    /// A regular expression in Go's syntax, as in all rule files and configurations of this field; it may match anywhere.
    pub fn regex(&self, errors: &mut YamlErrors) -> Option<Regex> {
        let text = self.scalar("a regular expression", errors)?;
        match go_regex(text) {
            Ok(regex) => Some(regex),
            Err(reason) => {
                errors.push(self.error(format!("bad regular expression {text:?}: {reason}")));
                None
            }
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)], errors: &mut YamlErrors) -> Option<T> {
        let names = words.iter().map(|(name, _)| *name);
        let expected = format!("one of {}", names.clone().collect::<Vec<_>>().join(", "));
        let text = self.scalar(&expected, errors)?;
        let found = words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            errors.push(self.error(format!("unknown word {text:?}")).expected(expected).suggest(nearest(text, names)));
        }
        found
    }

    /// A list of strings.
    pub fn strings(&self, errors: &mut YamlErrors) -> Option<Vec<String>> {
        let items = self.list_of(errors, Node::string);
        self.is_list().then_some(items)
    }

    /// A mapping with free keys and string values, in the order of the file; a null value is an empty string.
    pub fn string_map(&self, errors: &mut YamlErrors) -> Option<Vec<(String, String)>> {
        let pairs = self.mapping(errors).pairs();
        let read = pairs.into_iter().filter_map(|(key, value)| {
            let value = if value.is_null() { String::new() } else { value.string(errors)? };
            Some((key.to_owned(), value))
        });
        Some(read.collect())
    }
}

/// A whole number type with bounds that a message can name.
pub trait Bounded {
    /// Smallest value.
    const LOWEST: i128;
    /// Largest value.
    const HIGHEST: i128;
}

macro_rules! bounded {
    ($($t:ty),*) => { $(impl Bounded for $t {
        const LOWEST: i128 = <$t>::MIN as i128;
        const HIGHEST: i128 = <$t>::MAX as i128;
    })* };
}
bounded!(u8, u16, u32, u64, usize, i8, i16, i32, i64);

/// Number and unit; every unit is a power of 1024 (Prometheus' `units.Base2Bytes`).
fn parse_size(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
    let number: f64 = text[..digits].parse().ok()?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "b" => 0,
        "kb" | "kib" => 10,
        "mb" | "mib" => 20,
        "gb" | "gib" => 30,
        "tb" | "tib" => 40,
        "pb" | "pib" => 50,
        "eb" | "eib" => 60,
        _ => return None,
    };
    let bytes = number * (1u64 << shift) as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        let cases: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("512B", Some(512)),
            ("1KB", Some(1024)),
            ("512MiB", Some(512 << 20)),
            ("1.5gb", Some(3 << 29)),
            ("1 GB", Some(1 << 30)),
            ("512", None),
            ("GB", None),
            ("-1GB", None),
            ("99EB", None),
            ("1XB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), *expected, "{text}");
        }
    }
}
