//! The order of `sort_by_label`: numbers inside texts count as numbers.

use std::cmp::Ordering;

/// Compares as people do: `node2` before `node10`.
pub(crate) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    // What decides when only leading zeros differ.
    let mut zeros = Ordering::Equal;
    loop {
        let (a_chunk, a_rest, a_number) = chunk(a);
        let (b_chunk, b_rest, b_number) = chunk(b);
        let order = match (a_chunk.is_empty(), b_chunk.is_empty()) {
            (true, true) => return zeros,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            _ if a_number && b_number => {
                zeros = zeros.then(a_chunk.len().cmp(&b_chunk.len()));
                by_number(a_chunk, b_chunk)
            }
            _ => a_chunk.cmp(b_chunk),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
}

/// The leading run of digits or of anything else, and what follows.
fn chunk(text: &str) -> (&str, &str, bool) {
    let number = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != number).unwrap_or(text.len());
    (&text[..end], &text[end..], number)
}

fn by_number(a: &str, b: &str) -> Ordering {
    let (short_a, short_b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    short_a.len().cmp(&short_b.len()).then(short_a.cmp(short_b))
}

#[cfg(test)]
mod tests {
    use super::natural_order;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = ["a10", "a9", "a", "b1", "a010", "1.22.0", "1.9.0", "c1b", "c01a"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["1.9.0", "1.22.0", "a", "a9", "a10", "a010", "b1", "c01a", "c1b"]);
    }
}
