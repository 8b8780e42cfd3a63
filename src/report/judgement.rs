//! Whether numbers are compared with the paper's, and how they compare.

use crate::config::precision::Precision;

/// Whether a protocol's numbers are compared with the paper's.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    /// They are: the paper's recipe on the official data, but for the precision that is named.
    Judged(Option<Precision>),
    /// They are not comparable, for this reason.
    NotComparable(String),
}

impl Judgement {
    /// The verdict on a deviation from the paper, in percentage points: inside if it is at most
    /// `band`.
    pub fn verdict(&self, deviation: f64, band: f64) -> String {
        let side = if deviation.abs() <= band { "inside" } else { "outside" };
        match self {
            Judgement::Judged(None) => format!("{side} ± {band}"),
            Judgement::Judged(Some(precision)) => format!("{side} ± {band} ({precision})"),
            Judgement::NotComparable(reason) => format!("not comparable: {reason}"),
        }
    }
}
