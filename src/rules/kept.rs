//! Label work of a rule that is done once for as long as its results stay the same.

use rustc_hash::FxHashMap;

use crate::model::Labels;

/// For each result of a rule's last evaluation, the labels that were made from it: those of its alert or of its recorded
/// series. Only for labels that depend on the result's labels alone.
#[derive(Debug, Default)]
pub(super) struct KeptLabels {
    kept: FxHashMap<Labels, Kept>,
    /// How many results each finished label set stands for: more than one is an error of the rule.
    makers: FxHashMap<Labels, u32>,
    /// Finished label sets that stand for more than one result.
    shared: usize,
    round: u64,
    /// Results of this round.
    used: usize,
}

#[derive(Debug)]
struct Kept {
    made: Labels,
    round: u64,
}

impl KeptLabels {
    /// Begins an evaluation: what the one before did not use is forgotten.
    pub(super) fn begin(&mut self) {
        if self.used < self.kept.len() {
            self.sweep();
        }
        self.round += 1;
        self.used = 0;
    }

    /// The labels made from a result's, by `make` if they are not known.
    pub(super) fn get(&mut self, result: &Labels, make: impl FnOnce() -> Labels) -> Labels {
        if let Some(kept) = self.kept.get_mut(result) {
            self.used += usize::from(kept.round != self.round);
            kept.round = self.round;
            return kept.made.clone();
        }
        let made = make();
        let makers = self.makers.entry(made.clone()).or_insert(0);
        *makers += 1;
        self.shared += usize::from(*makers == 2);
        self.used += 1;
        self.kept.insert(result.clone(), Kept { made: made.clone(), round: self.round });
        made
    }

    /// Whether two of this round's results may have the same finished labels.
    pub(super) fn may_collide(&self) -> bool {
        self.shared > 0
    }

    fn sweep(&mut self) {
        let Self { kept, makers, shared, round, .. } = self;
        kept.retain(|_, kept| {
            let used = kept.round == *round;
            if !used && let Some(count) = makers.get_mut(&kept.made) {
                *count -= 1;
                *shared -= usize::from(*count == 1);
                if *count == 0 {
                    makers.remove(&kept.made);
                }
            }
            used
        });
    }
}

#[cfg(test)]
mod tests {
    use super::KeptLabels;
    use crate::model::Labels;

    #[test]
    fn makes_labels_once_and_knows_of_collisions() {
        // One round a row: the results, which of them are made anew, whether two may collide.
        let rounds: &[(&[&str], usize, bool)] = &[
            (&["a1", "b1"], 2, false),
            (&["a1", "b1"], 0, false),
            (&["a1", "a2", "b1"], 1, true),
            (&["a1", "a2"], 0, true),
            // The second `a` is gone; it is forgotten when the next round begins.
            (&["a1"], 0, true),
            (&["a1"], 0, false),
            (&[], 0, false),
            (&["a1", "b1"], 2, false),
        ];
        let mut kept = KeptLabels::default();
        for (i, (results, expected, collide)) in rounds.iter().enumerate() {
            let mut made = 0;
            kept.begin();
            for result in *results {
                let got = kept.get(&Labels::from_pairs(&[("l", result)]), || {
                    made += 1;
                    Labels::from_pairs(&[("l", &result[..1])])
                });
                assert_eq!(got.get("l"), &result[..1]);
            }
            assert_eq!((made, kept.may_collide()), (*expected, *collide), "round {i}");
        }
    }
}
