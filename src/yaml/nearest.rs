//! "Did you mean": the nearest known word by edit distance.

/// The candidate nearest to `word`, if it is near enough that a slip explains the difference: at most a third of the
/// word's letters inserted, removed, replaced or swapped with their neighbour.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Words this long are no slip of the hand, and the comparison is quadratic.
    if word.len() > 64 {
        return None;
    }
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance: edits and swaps of neighbours, no letter edited twice.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut rows: Vec<usize> = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i * width + j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let cost = usize::from(a[i - 1] != b[j - 1]);
                    let above = (i - 1) * width + j;
                    let mut best = (rows[above] + 1).min(rows[i * width + j - 1] + 1).min(rows[above - 1] + cost);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        best = best.min(rows[(i - 2) * width + j - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    rows[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_nothing_else() {
        let known = ["interval", "labels", "rules", "expr", "for", "keep_firing_for"];
        let cases: &[(&str, Option<&str>)] = &[
            ("intervall", Some("interval")),
            ("lables", Some("labels")),
            ("Expr", Some("expr")),
            ("fro", Some("for")),
            ("keep_firing", None),
            ("keep_fireing_for", Some("keep_firing_for")),
            ("unrelated", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), *expected, "{word}");
        }
    }
}
