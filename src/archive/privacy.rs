//! What must not leave the machine as it is: label values become pseudonyms, small groups are folded.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use sha2::{Digest, Sha256};

use crate::model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher, MatcherError};

use super::manifest::Redactions;
use super::scan::Unit;

/// Members that a group needs to be shown, unless the settings say otherwise.
pub const MIN_GROUP: usize = 5;
/// What the redacted labels of a folded group say.
const OTHER: &str = "other";

/// Which label values an export must not show.
///
/// A *group* is what is left when the redacted labels are taken away: the series of one metric that agree in all other labels. Its
/// *members* are its series, one a user, session, … . With at least `min_group` members each gets pseudonyms; with
/// fewer a pseudonym would hide nobody, so they become one series whose redacted labels say `other`.
#[derive(Debug, Clone)]
pub struct Privacy {
    patterns: Vec<Matcher>,
    min_group: usize,
}

impl Default for Privacy {
    fn default() -> Self {
        Self { patterns: Vec::new(), min_group: MIN_GROUP }
    }
}

impl Privacy {
    /// Settings that redact labels whose whole name matches one of these regular expressions, and fold groups
    /// with fewer than `min_group` members (0 and 1 fold none).
    ///
    /// # Errors
    /// When an expression cannot be read.
    pub fn new(redact: &[String], min_group: usize) -> Result<Self, MatcherError> {
        let patterns = redact.iter().map(|pattern| Matcher::new(MatchOp::Regex, "redact", pattern));
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()?, min_group })
    }

    /// Whether values of this label are replaced. A metric's name never is.
    pub fn hides(&self, label: &str) -> bool {
        label != METRIC_NAME && self.patterns.iter().any(|pattern| pattern.matches(label))
    }

    /// The expressions, as written.
    pub fn patterns(&self) -> Vec<String> {
        self.patterns.iter().map(|pattern| pattern.value.clone()).collect()
    }

    /// Members that a group needs to be shown.
    pub fn min_group(&self) -> usize {
        self.min_group
    }

    /// Gives every series its labels in the export, sorted by metric name and labels, and says what was done.
    pub(super) fn apply(&self, series: Vec<Labels>) -> std::io::Result<(Vec<Unit>, Redactor<'_>)> {
        let mut done =
            Redactions { patterns: self.patterns(), min_group: self.min_group as u64, ..Redactions::default() };
        let as_is = |labels: Labels| Unit { sources: vec![labels.clone()], labels, folded: false };
        if self.patterns.is_empty() {
            let redactor = Redactor { privacy: self, salt: [0; 32], hidden: HashSet::new(), done };
            return Ok((series.into_iter().map(as_is).collect(), redactor));
        }
        let salt = salt()?;
        let mut units = Vec::with_capacity(series.len());
        let mut groups: BTreeMap<Labels, Vec<Labels>> = BTreeMap::new();
        for labels in series {
            let rest = labels.filtered(|name| !self.hides(name));
            if rest.len() == labels.len() {
                units.push(as_is(labels));
            } else {
                groups.entry(rest).or_default().push(labels);
            }
        }
        let mut hidden = HashSet::new();
        for members in groups.into_values() {
            let fold = members.len() < self.min_group;
            done.groups_folded += u64::from(fold);
            done.series_folded += if fold { members.len() as u64 } else { 0 };
            let mut all: BTreeMap<Labels, Vec<Labels>> = BTreeMap::new();
            for labels in members {
                let mut builder = LabelsBuilder::from(&labels);
                for (name, value) in labels.iter().filter(|(name, _)| self.hides(name)) {
                    let pseudonym = pseudonym(&salt, name, value);
                    hidden.insert((name.to_owned(), pseudonym.clone()));
                    builder.put(name, if fold { OTHER } else { &pseudonym });
                }
                all.entry(builder.build()).or_default().push(labels);
            }
            if fold {
                // Members may lack one of the labels: all of them are one series all the same.
                let mut widest = LabelsBuilder::new();
                all.keys().flat_map(|labels| labels.iter()).for_each(|(name, value)| widest.put(name, value));
                let sources = all.into_values().flatten().collect();
                units.push(Unit { labels: widest.build(), sources, folded: true });
            } else {
                units.extend(all.into_iter().map(|(labels, sources)| Unit { labels, sources, folded: false }));
            }
        }
        let key = |unit: &Unit| (unit.labels.metric_name().to_owned(), unit.labels.clone());
        units.sort_by_cached_key(key);
        Ok((units, Redactor { privacy: self, salt, hidden, done }))
    }
}

/// Hides what exemplars say, with the pseudonyms of the export, and keeps the account of all that was hidden.
pub(super) struct Redactor<'a> {
    privacy: &'a Privacy,
    salt: [u8; 32],
    /// Names of labels, and pseudonyms of their values.
    hidden: HashSet<(String, String)>,
    done: Redactions,
}

impl Redactor<'_> {
    /// Labels of an exemplar as the export shows them.
    pub(super) fn exemplar(&mut self, labels: &Labels) -> Labels {
        let mut builder = LabelsBuilder::from(labels);
        for (name, value) in labels.iter().filter(|(name, _)| self.privacy.hides(name)) {
            let pseudonym = pseudonym(&self.salt, name, value);
            builder.put(name, &pseudonym);
            self.hidden.insert((name.to_owned(), pseudonym));
        }
        builder.build()
    }

    /// What was done, when the export is through.
    pub(super) fn finish(self) -> Redactions {
        let mut labels: Vec<String> = self.hidden.iter().map(|(name, _)| name.clone()).collect();
        labels.sort_unstable();
        labels.dedup();
        Redactions { values_replaced: self.hidden.len() as u64, labels, ..self.done }
    }
}

/// Chance that nobody keeps: pseudonyms of one export say nothing about those of another, nor can they be tried out.
fn salt() -> std::io::Result<[u8; 32]> {
    let mut salt = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut salt)?;
    Ok(salt)
}

fn pseudonym(salt: &[u8; 32], name: &str, value: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(name.as_bytes());
    hash.update([0xff]);
    hash.update(value.as_bytes());
    let digest = hash.finalize();
    let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("redacted-{hex}")
}

#[cfg(test)]
mod tests {
    use super::Privacy;
    use crate::model::Labels;

    fn tokens(user: &str, model: &str) -> Labels {
        Labels::from_pairs(&[("__name__", "tokens_total"), ("user", user), ("model", model)])
    }

    fn shown(units: &[super::Unit]) -> Vec<(String, usize)> {
        units.iter().map(|unit| (unit.labels.to_string(), unit.sources.len())).collect()
    }

    #[test]
    fn large_groups_get_pseudonyms_and_small_ones_are_folded() {
        let mut series: Vec<Labels> = (0..5).map(|n| tokens(&format!("user{n}"), "big")).collect();
        series.extend([tokens("user0", "small"), tokens("user1", "small")]);
        series.push(Labels::from_pairs(&[("__name__", "up")]));
        let privacy = Privacy::new(&["us.r".to_owned()], 5).unwrap();
        let (units, done) = privacy.apply(series.clone()).unwrap();
        let done = done.finish();
        let all = shown(&units);
        assert_eq!(all.len(), 7);
        let big: Vec<_> = all.iter().filter(|(text, _)| text.contains("user=\"redacted-")).collect();
        assert_eq!(big.len(), 5);
        assert!(all.contains(&(r#"tokens_total{model="small", user="other"}"#.to_owned(), 2)), "{all:?}");
        assert!(!format!("{all:?}").contains("user0"));
        assert_eq!((done.values_replaced, done.groups_folded, done.series_folded), (5, 1, 2));
        assert_eq!(done.labels, ["user"]);
        // Another export has other pseudonyms.
        assert_ne!(shown(&privacy.apply(series.clone()).unwrap().0), all);
        let open = Privacy::default();
        let (units, done) = open.apply(series).unwrap();
        let done = done.finish();
        assert_eq!((units.len(), done.values_replaced), (8, 0));
        assert!(Privacy::new(&["(".to_owned()], 5).is_err());
    }

    #[test]
    fn names_of_metrics_stay() {
        let privacy = Privacy::new(&[".*".to_owned()], 0).unwrap();
        let (units, _) = privacy.apply(vec![tokens("a", "b")]).unwrap();
        assert_eq!(units[0].labels.metric_name(), "tokens_total");
        assert!(units[0].labels.get("model").starts_with("redacted-"));
    }
}
