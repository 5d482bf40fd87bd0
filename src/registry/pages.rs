//! A sparse array by series reference: references are never reused, so pages without a living entry are given back.

const PAGE: usize = 1024;

struct Page<T> {
    used: usize,
    entries: Box<[Option<T>]>,
}

/// Values by `u32` index; memory follows what is stored, not the largest index.
pub(super) struct Pages<T> {
    pages: Vec<Option<Page<T>>>,
}

impl<T> Pages<T> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new() }
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        self.pages.get(index / PAGE)?.as_ref()?.entries.get(index % PAGE)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let index = index as usize;
        self.pages.get_mut(index / PAGE)?.as_mut()?.entries.get_mut(index % PAGE)?.as_mut()
    }

    pub(super) fn insert(&mut self, index: u32, value: T) {
        let index = index as usize;
        if self.pages.len() <= index / PAGE {
            self.pages.resize_with(index / PAGE + 1, || None);
        }
        let page = self.pages[index / PAGE]
            .get_or_insert_with(|| Page { used: 0, entries: std::iter::repeat_with(|| None).take(PAGE).collect() });
        if page.entries[index % PAGE].replace(value).is_none() {
            page.used += 1;
        }
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let index = index as usize;
        let place = self.pages.get_mut(index / PAGE)?;
        let page = place.as_mut()?;
        let value = page.entries.get_mut(index % PAGE)?.take()?;
        page.used -= 1;
        if page.used == 0 {
            *place = None;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::{PAGE, Pages};

    #[test]
    fn a_page_without_entries_is_given_back() {
        let mut pages = Pages::new();
        for index in 0..3 * PAGE as u32 {
            pages.insert(index, index);
        }
        for index in 0..2 * PAGE as u32 {
            assert_eq!(pages.remove(index), Some(index));
            assert_eq!(pages.remove(index), None);
        }
        assert_eq!(pages.pages.iter().flatten().count(), 1);
        assert_eq!(pages.get(2 * PAGE as u32 + 7), Some(&(2 * PAGE as u32 + 7)));
        assert_eq!(pages.get(u32::MAX), None);
    }
}
