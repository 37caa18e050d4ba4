//! Epochs: the stretches in which the log's numbers are without gaps. A store that went back goes on in another one, so
//! that no number is ever given twice.

use super::Seq;

/// A stretch of the log. Its numbers are above those of every epoch before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch(u64);

/// What becomes of sessions that were opened before an epoch begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OldSessions {
    /// They end: the global watermark becomes the number of the epoch's first entry.
    End,
    /// They go on, those too that were ended in the stretch which the store has lost.
    Keep,
}

impl Epoch {
    /// The last one: the numbers of one after it would not be below 2^53.
    pub const LAST: Self = Self((1 << 19) - 1);

    /// The epoch of a number; `None`: there is none, because it is past the last.
    pub fn new(number: u64) -> Option<Self> {
        Some(Self(number)).filter(|epoch| *epoch <= Self::LAST)
    }

    /// The one that a number of the log belongs to; `None`: no log has it.
    pub fn of(seq: Seq) -> Option<Self> {
        Self::new(seq.epoch())
    }

    /// The one after it; `None` after the last.
    pub fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// Which it is.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Before its first entry. No entry has this number.
    pub const fn start(self) -> Seq {
        Seq::start_of_epoch_number(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_last_epoch_are_below_two_to_the_53_and_there_is_none_after_it() {
        let last = Epoch::LAST;
        assert!(last.start().as_u64() + (1 << 34) <= 1 << 53);
        assert_eq!(last.next(), None);
        assert_eq!(Epoch::new(last.as_u64() + 1), None);
        assert_eq!(Epoch::of(Seq::MAX), None);
        assert_eq!(Epoch::of(last.start().next()), Some(last));
    }
}
