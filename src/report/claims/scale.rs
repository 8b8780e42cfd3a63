//! What a protocol's runs can say about a claim, and how observations become a verdict.

use crate::config::dataset_name::DatasetName;
use crate::config::network_name::Family;
use crate::report::claims::ruling::{Ruling, Verdict};
use crate::report::judgement::Judgement;
use crate::report::protocol::Protocol;

/// Keys whose other value makes a protocol smaller or cheaper, not another experiment.
const SMALLER: [&str; 12] = [
    "iterations",
    "milestones",
    "precision",
    "learning_rate",
    "batch_size",
    "group_size",
    "lower_rate",
    "evaluate_every",
    "validation",
    "crop",
    "scale",
    "test_scale",
];

/// How far a protocol is from the paper's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// The paper's, but for the precision.
    Paper,
    /// Fewer iterations, other data of the kind, or a recipe that differs in what makes it smaller.
    Small,
}

impl Scale {
    /// That of `protocol` for a claim about nets of `family`; `None` where it is another experiment:
    /// synthetic data, own images, given weights, or a recipe that differs in more than size.
    pub fn of(protocol: &Protocol, family: Family) -> Option<Scale> {
        let natural = protocol
            .dataset
            .is_some_and(|name| !matches!(name, DatasetName::Shapes | DatasetName::Folder));
        let similar = protocol.deviations.iter().all(|one| SMALLER.contains(&one.key.as_str()));
        if !natural || !similar || protocol.family() != family {
            return None;
        }
        Some(match protocol.judgement() {
            Judgement::Judged(_) => Scale::Paper,
            Judgement::NotComparable(_) => Scale::Small,
        })
    }
}

/// What an observation says of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is so.
    Supports,
    /// The opposite is.
    Opposes,
    /// It cannot be told.
    Undecided,
}

/// One protocol's say.
#[derive(Debug, Clone)]
pub struct Observation {
    /// How far the protocol is from the paper's.
    pub scale: Scale,
    /// What it says.
    pub outcome: Outcome,
    /// The numbers, with the protocol that they are of.
    pub numbers: String,
    /// The runs.
    pub runs: Vec<String>,
}

/// The verdict on observations that stand with the best evidence first. The paper's protocol
/// decides alone where it is there; else the best smaller one that decides anything: it can confirm
/// at small scale, but not contradict.
pub fn verdict(observations: &[Observation]) -> Ruling {
    let of_scale = |scale| observations.iter().filter(move |one| one.scale == scale);
    let decides = |one: &&Observation| one.outcome != Outcome::Undecided;
    let papers = of_scale(Scale::Paper).find(decides).or(of_scale(Scale::Paper).next());
    let small = of_scale(Scale::Small).find(decides).or(of_scale(Scale::Small).next());
    let Some(best) = papers.or(small) else { return Ruling::not_tested() };
    let verdict = match (best.scale, best.outcome) {
        (Scale::Paper, Outcome::Supports) => Verdict::Confirmed,
        (Scale::Paper, Outcome::Opposes) => Verdict::Contradicted,
        (Scale::Small, Outcome::Supports) => Verdict::ConfirmedAtSmallScale,
        _ => Verdict::Inconclusive,
    };
    let mut numbers = best.numbers.clone();
    if (best.scale, best.outcome) == (Scale::Small, Outcome::Opposes) {
        numbers.push_str("; a smaller protocol cannot contradict");
    }
    let against = of_scale(best.scale)
        .filter(decides)
        .filter(|one| one.outcome != best.outcome && best.outcome != Outcome::Undecided)
        .count();
    if against > 0 {
        numbers.push_str(&format!("; {against} further protocol(s) say the opposite"));
    }
    Ruling { verdict, numbers, runs: best.runs.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(scale: Scale, outcome: Outcome) -> Observation {
        Observation { scale, outcome, numbers: "n".to_string(), runs: vec!["r".to_string()] }
    }

    #[test]
    fn only_the_papers_protocol_confirms_or_contradicts() {
        use Outcome::{Opposes, Supports, Undecided};
        use Scale::{Paper, Small};
        for (observations, expected) in [
            (vec![], Verdict::NotTestedYet),
            (vec![(Small, Supports)], Verdict::ConfirmedAtSmallScale),
            (vec![(Small, Opposes)], Verdict::Inconclusive),
            (vec![(Small, Undecided), (Small, Supports)], Verdict::ConfirmedAtSmallScale),
            (vec![(Small, Opposes), (Small, Supports)], Verdict::Inconclusive),
            (vec![(Small, Supports), (Paper, Opposes)], Verdict::Contradicted),
            (vec![(Paper, Supports), (Small, Opposes)], Verdict::Confirmed),
            (vec![(Paper, Undecided), (Small, Supports)], Verdict::Inconclusive),
        ] {
            let observations: Vec<Observation> =
                observations.iter().map(|&(scale, outcome)| observation(scale, outcome)).collect();
            assert_eq!(verdict(&observations).verdict, expected, "{observations:?}");
        }
        let mixed = [observation(Small, Supports), observation(Small, Opposes)];
        assert!(verdict(&mixed).numbers.contains("1 further protocol(s) say the opposite"));
    }
}
