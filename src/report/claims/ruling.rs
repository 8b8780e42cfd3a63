//! Verdicts, and the numbers that say so.

use std::fmt;

use serde::{Serialize, Serializer};

/// What is said of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// By the paper's own protocol, or by the networks alone.
    Confirmed,
    /// The opposite is so, by the same.
    Contradicted,
    /// By a smaller protocol.
    ConfirmedAtSmallScale,
    /// There is evidence, and it does not decide.
    Inconclusive,
    /// There is none.
    NotTestedYet,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Verdict::Confirmed => "confirmed",
            Verdict::Contradicted => "contradicted",
            Verdict::ConfirmedAtSmallScale => "confirmed at small scale",
            Verdict::Inconclusive => "inconclusive",
            Verdict::NotTestedYet => "not tested yet",
        })
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A verdict with its reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// The verdict.
    pub verdict: Verdict,
    /// The numbers that say so.
    pub numbers: String,
    /// Paths of the runs that they are of.
    pub runs: Vec<String>,
}

impl Ruling {
    /// There is no evidence.
    pub fn not_tested() -> Ruling {
        Ruling { verdict: Verdict::NotTestedYet, numbers: String::new(), runs: Vec::new() }
    }
}
