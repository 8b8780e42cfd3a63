//! What the paper and those that followed it claim, from `claims.toml`: each sentence with what
//! decides it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::config::network_name::{Family, NetworkName};

/// A sentence that can be checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its short name.
    pub id: String,
    /// Whose it is.
    pub source: Source,
    /// Section, table or figure there.
    pub section: String,
    /// The claim, in words of this program.
    pub sentence: String,
    /// What the source gives for it.
    pub paper: String,
    /// What decides it.
    pub evidence: Evidence,
    /// The command that makes the evidence; none where the program is the evidence.
    pub command: Option<String>,
}

/// Who claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// He, Zhang, Ren, Sun, arXiv 1512.03385.
    #[serde(rename = "he-2015")]
    He2015,
    /// Veit, Wilber, Belongie, arXiv 1605.06431.
    #[serde(rename = "veit-2016")]
    Veit2016,
    /// Balduzzi et al., arXiv 1702.08591.
    #[serde(rename = "balduzzi-2017")]
    Balduzzi2017,
    /// Li et al., arXiv 1712.09913.
    #[serde(rename = "li-2018")]
    Li2018,
}

impl Source {
    /// "He et al. 2015".
    pub fn title(self) -> &'static str {
        match self {
            Source::He2015 => "He et al. 2015",
            Source::Veit2016 => "Veit et al. 2016",
            Source::Balduzzi2017 => "Balduzzi et al. 2017",
            Source::Li2018 => "Li et al. 2018",
        }
    }
}

/// A network, and the one that it is compared with.
pub type Pair = (NetworkName, NetworkName);

/// What decides a claim.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Evidence {
    /// Counts of networks are those stated, but for so many percent.
    Counts {
        /// What is counted.
        quantity: Quantity,
        /// Of which tables.
        family: FamilyName,
        /// What is stated.
        values: BTreeMap<NetworkName, f64>,
        /// How far ours may be off, in percent.
        within_percent: f64,
    },
    /// The first of each pair has a smaller count.
    Smaller {
        /// What is counted.
        quantity: Quantity,
        /// Of which tables.
        family: FamilyName,
        /// The pairs.
        pairs: Vec<Pair>,
    },
    /// The first of each pair has as large a count, but for so many percent.
    Same {
        /// What is counted.
        quantity: Quantity,
        /// Of which tables.
        family: FamilyName,
        /// The pairs.
        pairs: Vec<Pair>,
        /// How far they may be apart, in percent.
        within_percent: f64,
    },
    /// The first of each pair, embedded in the second by identity layers, answers as it did.
    Embedding {
        /// The pairs, of CIFAR's family.
        pairs: Vec<Pair>,
    },
    /// An error is above or below another net's, or about the same.
    Errors {
        /// Which error.
        of: ErrorKind,
        /// Of which tables.
        family: FamilyName,
        /// The paper's pair.
        pair: Pair,
        /// Pairs that may stand for it in smaller protocols.
        #[serde(default)]
        small: Vec<Pair>,
        /// What is claimed of the first.
        expect: Expectation,
    },
    /// The final test errors are those of the paper, but for so many points. Only its own protocol
    /// can decide it.
    Level {
        /// The networks, whose errors `paper.toml` has.
        networks: Vec<NetworkName>,
        /// How far ours may be off, in percentage points.
        within_points: f64,
    },
    /// An error is below or above a bound. Only the paper's own protocol can decide it.
    Bound {
        /// Which error.
        of: ErrorKind,
        /// The network, of CIFAR's family.
        network: NetworkName,
        /// What is claimed.
        expect: Expectation,
        /// The bound, in percent.
        bound: f64,
    },
    /// A run from given weights ends with a lower training error than one from the paper's
    /// initialisation.
    Continued {
        /// The network.
        network: NetworkName,
    },
    /// A column of an analysis, reduced to one number a run, or a number of its summary, is above or
    /// below another net's, or a bound.
    Analysis(Measure),
    /// The error of a damaged net rises smoothly with the damage.
    Smooth(Smooth),
    /// The first of two nets that are both fitted has a higher test error.
    Overfits {
        /// The pair, of CIFAR's family.
        pair: Pair,
        /// What both training errors are below, in percent.
        fitted_below: f64,
    },
    /// There is no rule yet that a program could follow.
    Open {
        /// What would decide it.
        rule: String,
    },
}

/// A number from a run's `analysis/<file>.csv` or, named by `summary`, from `<file>.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// The file, without its ending.
    pub file: String,
    /// The key in `[summary]` of `<file>.toml`; without it `column` and `statistic` are given.
    pub summary: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// How its rows become one number.
    pub statistic: Option<Statistic>,
    /// Only rows whose column, the key, has this value.
    #[serde(default)]
    pub rows: BTreeMap<String, String>,
    /// The number of the first row with these values is subtracted.
    #[serde(default)]
    pub minus: BTreeMap<String, String>,
    /// Of which tables.
    pub family: FamilyName,
    /// The network.
    pub network: NetworkName,
    /// Networks that may stand for it in smaller protocols.
    #[serde(default)]
    pub small: Vec<NetworkName>,
    /// The other networks: each of `network` and `small` is compared with the one at its place; none
    /// where there is a bound.
    #[serde(default)]
    pub references: Vec<NetworkName>,
    /// The bound.
    pub bound: Option<f64>,
    /// What is claimed of the first.
    pub expect: Expectation,
}

/// A rise of the error in a run's `analysis/lesion.csv`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smooth {
    /// With what it rises.
    pub by: Damage,
    /// Of which tables.
    pub family: FamilyName,
    /// The network.
    pub network: NetworkName,
    /// Networks that may stand for it in smaller protocols.
    #[serde(default)]
    pub small: Vec<NetworkName>,
    /// The most that one step may be of the whole rise, in percent.
    pub largest_step_percent: f64,
}

/// What is done to a net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// Blocks are deleted.
    Deleted,
    /// Blocks change places.
    Exchanged,
}

/// How rows become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// Arithmetic mean.
    Mean,
    /// Median.
    Median,
    /// Largest value.
    Largest,
}

/// What is counted of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Parameters.
    Parameters,
    /// Multiply-adds of one image, which the paper calls FLOPs.
    MultiplyAdds,
    /// Projections on shortcuts.
    Projections,
}

/// Which error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Training error at the end.
    Training,
    /// Training error after a quarter of the run.
    EarlyTraining,
    /// Test error after the last iteration.
    Test,
}

/// What is claimed of a network's number against another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// It is higher.
    Above,
    /// It is lower.
    Below,
    /// It is within a percentage point.
    Equal,
}

/// A family, as `claims.toml` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FamilyName {
    /// Section 4.2.
    Cifar,
    /// Table 1.
    Imagenet,
}

impl From<FamilyName> for Family {
    fn from(name: FamilyName) -> Family {
        match name {
            FamilyName::Cifar => Family::Cifar,
            FamilyName::Imagenet => Family::Imagenet,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    claim: Vec<Claim>,
}

/// All claims, in the order of the file.
pub fn claims() -> &'static [Claim] {
    static CLAIMS: OnceLock<Vec<Claim>> = OnceLock::new();
    CLAIMS.get_or_init(|| {
        let file: File = toml::from_str(include_str!("claims.toml"))
            .expect("claims.toml is part of the program and tested");
        file.claim
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_source_has_claims_and_each_has_a_name_of_its_own() {
        let all = claims();
        assert!(all.len() >= 25, "{}", all.len());
        let names: BTreeSet<&str> = all.iter().map(|claim| claim.id.as_str()).collect();
        assert_eq!(names.len(), all.len());
        for source in [Source::He2015, Source::Veit2016, Source::Balduzzi2017, Source::Li2018] {
            assert!(all.iter().any(|claim| claim.source == source), "{source:?}");
        }
        for claim in all {
            let is_structural = matches!(
                claim.evidence,
                Evidence::Counts { .. }
                    | Evidence::Smaller { .. }
                    | Evidence::Same { .. }
                    | Evidence::Embedding { .. }
            );
            assert_eq!(claim.command.is_none(), is_structural, "{}", claim.id);
            if let Evidence::Analysis(measure) = &claim.evidence {
                let compared = 1 + measure.small.len();
                let fits = match measure.bound {
                    None => measure.references.len() == compared,
                    Some(_) => measure.references.is_empty(),
                };
                assert!(fits, "{}", claim.id);
                let is_of_rows = measure.column.is_some() && measure.statistic.is_some();
                assert_ne!(measure.summary.is_some(), is_of_rows, "{}", claim.id);
            }
        }
    }
}
