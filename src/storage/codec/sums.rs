//! Differences become values again, from the front: as far as somebody wants them.

/// What has been added up so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums {
    order: u8,
    /// Nothing yet: the first value stands for itself.
    first: bool,
    value: i64,
    /// The last difference of the first order.
    step: i64,
}

impl Sums {
    /// Sums of differences of this order: 0 (values), 1 or 2.
    pub(super) fn new(order: u8) -> Self {
        Self { order, first: true, value: 0, step: 0 }
    }

    /// The value that comes with the next difference.
    pub(super) fn next(&mut self, difference: i64) -> i64 {
        self.value = match self.order {
            0 => difference,
            1 => self.value.wrapping_add(difference),
            _ if self.first => difference,
            _ => {
                self.step = self.step.wrapping_add(difference);
                self.value.wrapping_add(self.step)
            }
        };
        self.first = false;
        self.value
    }

    /// Puts values in the place of their differences.
    pub(super) fn add_up(&mut self, block: &mut [i64]) {
        match self.order {
            0 => {}
            1 => {
                let mut value = self.value;
                for place in block {
                    value = value.wrapping_add(*place);
                    *place = value;
                }
                self.value = value;
            }
            _ => {
                for place in block {
                    *place = self.next(*place);
                }
            }
        }
    }

    /// Goes on behind these differences.
    pub(super) fn skip(&mut self, block: &[i64]) {
        match self.order {
            0 => {}
            1 => self.value = block.iter().fold(self.value, |sum, d| sum.wrapping_add(*d)),
            _ => block.iter().for_each(|d| {
                self.next(*d);
            }),
        }
    }
}
