//! Names of networks: `plain-20`, `resnet-56`, `resnet-56b`, `highway-19`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Shortcut;
use crate::error::{BadInput, bad_input};

/// Which network: its depth, and the one value in which a plain net and its residual twin differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName {
    /// What joins the ends of each pair of layers.
    pub shortcut: Shortcut,
    /// Weighted layers.
    pub depth: u64,
}

impl NetworkName {
    /// The plain net of `depth` layers.
    pub fn plain(depth: u64) -> NetworkName {
        NetworkName { shortcut: Shortcut::None, depth }
    }

    /// The residual net of `depth` layers with the paper's shortcuts (option A).
    pub fn residual(depth: u64) -> NetworkName {
        NetworkName { shortcut: Shortcut::PadChannels, depth }
    }

    /// Whether the net is a residual one, whatever its shortcut option.
    pub fn is_residual(self) -> bool {
        matches!(self.shortcut, Shortcut::PadChannels | Shortcut::ProjectIncrease | Shortcut::ProjectAll)
    }

    /// Whether the net is a plain one.
    pub fn is_plain(self) -> bool {
        self.shortcut == Shortcut::None
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (family, option) = match self.shortcut {
            Shortcut::None => ("plain", ""),
            Shortcut::PadChannels => ("resnet", ""),
            Shortcut::ProjectIncrease => ("resnet", "b"),
            Shortcut::ProjectAll => ("resnet", "c"),
            Shortcut::Gate => ("highway", ""),
        };
        formatter.pad(&format!("{family}-{}{option}", self.depth))
    }
}

impl FromStr for NetworkName {
    type Err = BadInput;

    fn from_str(text: &str) -> Result<NetworkName, BadInput> {
        let unknown = || {
            bad_input(format!(
                "unknown network \"{text}\": write plain-N, resnet-N (shortcut option A), resnet-Nb, resnet-Nc, highway-19 or highway-32, for example resnet-56"
            ))
        };
        let (family, rest) = text.split_once('-').ok_or_else(unknown)?;
        let digits = rest.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let depth: u64 = digits.parse().map_err(|_| unknown())?;
        let shortcut = match (family, &rest[digits.len()..]) {
            ("plain", "") => Shortcut::None,
            ("resnet", "" | "a") => Shortcut::PadChannels,
            ("resnet", "b") => Shortcut::ProjectIncrease,
            ("resnet", "c") => Shortcut::ProjectAll,
            ("highway", "") => {
                super::highway::check_depth(depth)?;
                return Ok(NetworkName { shortcut: Shortcut::Gate, depth });
            }
            _ => return Err(unknown()),
        };
        super::cifar::check_depth(depth)?;
        Ok(NetworkName { shortcut, depth })
    }
}

impl TryFrom<String> for NetworkName {
    type Error = BadInput;

    fn try_from(text: String) -> Result<NetworkName, BadInput> {
        text.parse()
    }
}

impl From<NetworkName> for String {
    fn from(name: NetworkName) -> String {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_it_was_written() {
        for text in ["plain-8", "plain-20", "resnet-56", "resnet-1202", "resnet-20b", "resnet-20c", "highway-19"] {
            assert_eq!(text.parse::<NetworkName>().unwrap().to_string(), text);
        }
        assert_eq!("resnet-20a".parse::<NetworkName>().unwrap(), NetworkName::residual(20), "option A is the paper's on CIFAR-10");
    }

    #[test]
    fn an_unknown_network_and_a_depth_that_is_not_6n_plus_2_are_refused() {
        for text in ["vgg-19", "resnet", "resnet-", "resnet-x", "plain--8", "resnet20", "plain-20b", "resnet-20d", "resnet-20bb"] {
            assert!(text.parse::<NetworkName>().unwrap_err().0.contains("unknown network"), "{text}");
        }
        let message = "resnet-57".parse::<NetworkName>().unwrap_err().0;
        assert!(message.contains("6n+2") && message.contains("56") && message.contains("62"), "{message}");
        assert!("plain-2".parse::<NetworkName>().is_err() && "highway-20".parse::<NetworkName>().is_err());
    }
}
