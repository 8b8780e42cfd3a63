//! Names of networks: `plain-20`, `resnet-56`.

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

    /// Whether the net has shortcuts.
    pub fn is_residual(self) -> bool {
        self.shortcut != Shortcut::None
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{}-{}", if self.is_residual() { "resnet" } else { "plain" }, self.depth))
    }
}

impl FromStr for NetworkName {
    type Err = BadInput;

    fn from_str(text: &str) -> Result<NetworkName, BadInput> {
        let unknown = || bad_input(format!("unknown network \"{text}\": write plain-N or resnet-N, for example resnet-56"));
        let (family, depth) = text.split_once('-').ok_or_else(unknown)?;
        let depth: u64 = depth.parse().map_err(|_| unknown())?;
        let name = match family {
            "plain" => NetworkName::plain(depth),
            "resnet" => NetworkName::residual(depth),
            _ => return Err(unknown()),
        };
        super::cifar::check_depth(depth)?;
        Ok(name)
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
        for text in ["plain-8", "plain-20", "resnet-56", "resnet-1202"] {
            assert_eq!(text.parse::<NetworkName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_unknown_network_and_a_depth_that_is_not_6n_plus_2_are_refused() {
        for text in ["vgg-19", "resnet", "resnet-", "resnet-x", "plain--8", "resnet20"] {
            assert!(text.parse::<NetworkName>().unwrap_err().0.contains("unknown network"), "{text}");
        }
        let message = "resnet-57".parse::<NetworkName>().unwrap_err().0;
        assert!(message.contains("6n+2") && message.contains("56") && message.contains("62"), "{message}");
        assert!("plain-2".parse::<NetworkName>().is_err());
    }
}
