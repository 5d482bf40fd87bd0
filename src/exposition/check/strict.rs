//! OpenMetrics 1.0 by its specification, with all problems at once.

use std::collections::HashSet;

use super::family::Family;
use super::{MAX_PROBLEMS, Problem, histogram, line};
use crate::model::{MetricKind, is_classic_metric_name};

#[derive(Default)]
struct Checker {
    problems: Vec<Problem>,
    claimed: HashSet<String>,
    family: Option<Family>,
}

/// Checks a page against OpenMetrics 1.0. An empty list means that the page is good.
pub fn check_openmetrics(text: &str) -> Vec<Problem> {
    let mut checker = Checker::default();
    let mut last = 0;
    let mut ended = false;
    let body = text.strip_suffix('\n').unwrap_or(text);
    for (at, line) in body.split('\n').enumerate() {
        last = at + 1;
        if checker.problems.len() >= MAX_PROBLEMS {
            return checker.problems;
        }
        if ended {
            checker.report(last, "expected nothing after # EOF".to_owned());
            break;
        }
        if line == "# EOF" {
            ended = true;
            continue;
        }
        let result = if line.starts_with('#') { checker.metadata(last, line) } else { checker.sample(last, line) };
        if let Err(problem) = result {
            checker.report(last, problem);
        }
    }
    checker.finish();
    if !ended {
        checker.report(last, "expected # EOF as the last line".to_owned());
    }
    checker.problems.sort_by_key(|problem| problem.line);
    checker.problems
}

impl Checker {
    fn report(&mut self, line: usize, text: String) {
        self.problems.push(Problem { line, text });
    }

    fn metadata(&mut self, at: usize, line: &str) -> Result<(), String> {
        let usage = "expected # HELP name text, # TYPE name type, # UNIT name unit or # EOF";
        let rest = line.strip_prefix("# ").ok_or(usage)?;
        let (word, rest) = rest.split_once(' ').ok_or(usage)?;
        let (name, value) = metadata_name(rest).ok_or(usage)?;
        if self.family.as_ref().is_none_or(|family| family.name != name) {
            self.finish();
            self.family = Some(Family::new(name, at));
        }
        let Some(family) = self.family.as_mut() else { return Ok(()) };
        if !family.samples.is_empty() {
            return Err("expected metadata before the samples of its family".to_owned());
        }
        let repeated = match word {
            "HELP" => std::mem::replace(&mut family.help, true),
            "UNIT" => family.unit.replace(value.to_owned()).is_some(),
            "TYPE" => {
                let kind = MetricKind::parse(value).filter(|_| value != "untyped");
                let kind = kind.ok_or_else(|| format!("expected a type of OpenMetrics, found {value:?}"))?;
                family.kind.replace(kind).is_some()
            }
            _ => return Err(usage.to_owned()),
        };
        if repeated { Err(format!("expected one # {word} line for {name}")) } else { Ok(()) }
    }

    fn sample(&mut self, at: usize, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Err("expected no empty line".to_owned());
        }
        let sample = line::sample(line)?;
        if self.family.as_ref().is_none_or(|family| !family.allows(&sample.name)) {
            self.finish();
            self.family = Some(Family::new(&sample.name, at));
        }
        match self.family.as_mut() {
            Some(family) => family.add(at, sample),
            None => Ok(()),
        }
    }

    fn finish(&mut self) {
        let Some(family) = self.family.take() else { return };
        for (line, problem) in histogram::check(&family) {
            self.report(line, problem);
        }
        let unit = family.unit.as_deref().unwrap_or("");
        if !unit.is_empty() {
            if !family.name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')) {
                self.report(family.line, format!("expected the name {:?} to end in its unit _{unit}", family.name));
            }
            if matches!(family.kind(), MetricKind::Info | MetricKind::StateSet) {
                self.report(family.line, format!("expected no unit for a {}", family.kind().as_str()));
            }
        }
        let mut clash = false;
        for name in family.sample_names().chain([family.name.clone()]).collect::<HashSet<String>>() {
            clash |= !self.claimed.insert(name);
        }
        if clash {
            let name = &family.name;
            self.report(
                family.line,
                format!("expected the family {name:?} once and in one place: its names are taken"),
            );
        }
    }
}

fn metadata_name(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, rest) = quoted.split_once('"')?;
        return Some((name, rest.strip_prefix(' ')?));
    }
    let (name, value) = text.split_once(' ')?;
    is_classic_metric_name(name).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::check_openmetrics;
    use std::path::PathBuf;

    #[test]
    fn agrees_with_the_shared_cases() {
        let shared = std::env::var_os("WATCHFIRE_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
        let Ok(folder) = std::fs::read_dir(shared.join("openmetrics")) else {
            println!("SKIPPED: {} has no openmetrics folder", shared.display());
            return;
        };
        let (mut good, mut bad, mut wrong) = (0, 0, Vec::new());
        for entry in folder {
            let path = entry.expect("readable folder").path();
            let text = std::fs::read_to_string(&path).expect("readable case");
            let problems = check_openmetrics(&text);
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("").to_owned();
            if name.starts_with("good_") {
                good += 1;
                if !problems.is_empty() {
                    wrong.push(format!("{name}: {problems:?}"));
                }
            } else if name.starts_with("bad_") {
                bad += 1;
                if problems.is_empty() {
                    wrong.push(format!("{name}: accepted"));
                }
            }
        }
        assert!(good > 20 && bad > 100, "the folder has {good} good and {bad} bad cases");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn all_problems_at_once_with_lines() {
        let cases: &[(&str, &[usize])] = &[
            ("# TYPE a gauge\na x\n# TYPE b counter\nb_total -1\n# EOF\n", &[2, 4]),
            ("a 1\na 1\n# EOF\n", &[2]),
            ("# TYPE a gauge\na 1\nb 1\na 2\n# EOF\n", &[4]),
            ("# TYPE \"a.b\" gauge\n{\"a.b\",\"c.d\"=\"1\"} 1\n# EOF\n", &[]),
            ("", &[1, 1]),
        ];
        for (text, expected) in cases {
            let lines: Vec<usize> = check_openmetrics(text).iter().map(|problem| problem.line).collect();
            assert_eq!(lines, *expected, "{text:?}");
        }
    }
}
