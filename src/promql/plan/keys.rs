//! Numbers for what subexpressions compute: rules that share a tick compare those, not texts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// Texts that the table holds at least before it looks for those that no plan uses any more.
const TIDY_FROM: usize = 1024;

/// The next number. One series for the whole process: results of two engines may meet in one cache.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What a subexpression computes. Two nodes hold the same one when they compute the same.
#[derive(Debug)]
pub(crate) struct Meaning {
    /// Never given twice.
    pub(crate) id: u64,
    /// The subexpression in a canonical form.
    pub(crate) text: Arc<str>,
}

/// How many nodes of plans hold this meaning.
pub(crate) fn uses(meaning: &Arc<Meaning>) -> usize {
    // One is the table's.
    Arc::strong_count(meaning).saturating_sub(1)
}

/// The meanings of an engine's plans.
#[derive(Debug, Default)]
pub(crate) struct Meanings(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_text: FxHashMap<Arc<str>, Arc<Meaning>>,
    tidy_at: usize,
}

impl Meanings {
    pub(crate) fn of(&self, text: String) -> Arc<Meaning> {
        let mut table = self.0.lock();
        if let Some(meaning) = table.by_text.get(text.as_str()) {
            return Arc::clone(meaning);
        }
        if table.by_text.len() >= table.tidy_at.max(TIDY_FROM) {
            table.by_text.retain(|_, meaning| uses(meaning) > 0);
            table.tidy_at = table.by_text.len() * 2;
        }
        let text: Arc<str> = text.into();
        let meaning = Arc::new(Meaning { id: NEXT.fetch_add(1, Ordering::Relaxed), text: Arc::clone(&text) });
        table.by_text.insert(text, Arc::clone(&meaning));
        meaning
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Meanings, TIDY_FROM, uses};

    #[test]
    fn equal_texts_share_and_unused_ones_leave() {
        let meanings = Meanings::default();
        let (a, b) = (meanings.of("rate(x)".to_owned()), meanings.of("rate(x)".to_owned()));
        assert!(Arc::ptr_eq(&a, &b) && uses(&a) == 2);
        assert_ne!(meanings.of("rate(y)".to_owned()).id, a.id);
        for i in 0..3 * TIDY_FROM {
            meanings.of(i.to_string());
        }
        assert!(meanings.0.lock().by_text.len() <= TIDY_FROM);
        assert_eq!(meanings.of("rate(x)".to_owned()).id, a.id);
    }
}
