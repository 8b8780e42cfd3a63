//! Names of networks: `plain-20`, `resnet-56`, `resnet-56b`, `resnet-50-v1.5`, `highway-19`,
//! `vgg-19`, `googlenet`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::depths;
use crate::config::depths::list;
use crate::config::shortcut::Shortcut;
use crate::error::{BadInput, bad_input};

/// Which of the paper's tables a network is from; the data set decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Section 4.2: nets of 6n+2 layers for 32×32 images.
    Cifar,
    /// Table 1: nets of 18 to 152 layers for large images.
    Imagenet,
}

/// Which network: its depth, and the one value in which a plain net and its residual twin differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName {
    /// What joins the ends of each pair of layers.
    pub shortcut: Shortcut,
    /// Weighted layers.
    pub depth: u64,
    /// In what it is another network than the table of its family says.
    pub variant: Variant,
}

/// Networks beside those of the paper's own tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Variant {
    /// None: as the paper's tables have it.
    #[default]
    Paper,
    /// Bottlenecks with the stride on their 3×3 layer (torchvision's, "v1.5") instead of on the
    /// first 1×1.
    StrideOn3x3,
    /// VGG (Simonyan and Zisserman, arXiv 1409.1556).
    Vgg,
    /// GoogLeNet (Szegedy et al., arXiv 1409.4842).
    GoogLeNet,
    /// GoogLeNet with its two auxiliary classifiers, which are there in training only.
    GoogLeNetAuxiliary,
}

/// Weighted layers of GoogLeNet, as its paper counts them.
const GOOGLENET_DEPTH: u64 = 22;

impl NetworkName {
    /// The plain net of `depth` layers.
    pub fn plain(depth: u64) -> NetworkName {
        NetworkName { shortcut: Shortcut::None, depth, variant: Variant::Paper }
    }

    /// The residual net of `depth` layers with the paper's shortcuts (option A).
    pub fn residual(depth: u64) -> NetworkName {
        NetworkName { shortcut: Shortcut::OptionA, depth, variant: Variant::Paper }
    }

    /// Whether the net is a residual one, whatever its shortcut option.
    pub fn is_residual(self) -> bool {
        matches!(self.shortcut, Shortcut::OptionA | Shortcut::OptionB | Shortcut::OptionC)
    }

    /// Whether the net is a plain one.
    pub fn is_plain(self) -> bool {
        self.shortcut == Shortcut::None
            && matches!(self.variant, Variant::Paper | Variant::StrideOn3x3)
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = match self.variant {
            Variant::Vgg => return formatter.pad(&format!("vgg-{}", self.depth)),
            Variant::GoogLeNet => return formatter.pad("googlenet"),
            Variant::GoogLeNetAuxiliary => return formatter.pad("googlenet-aux"),
            Variant::StrideOn3x3 => "-v1.5",
            Variant::Paper => "",
        };
        let (family, option) = match self.shortcut {
            Shortcut::None => ("plain", ""),
            Shortcut::OptionA => ("resnet", ""),
            Shortcut::OptionB => ("resnet", "b"),
            Shortcut::OptionC => ("resnet", "c"),
            Shortcut::Gate => ("highway", ""),
        };
        formatter.pad(&format!("{family}-{}{option}{ending}", self.depth))
    }
}

impl FromStr for NetworkName {
    type Err = BadInput;

    fn from_str(text: &str) -> Result<NetworkName, BadInput> {
        let unknown = || {
            bad_input(format!(
                "unknown network \"{text}\": write plain-N, resnet-N, resnet-Nb, resnet-Nc (shortcut options B and C), highway-19, highway-32, vgg-16, vgg-19 or googlenet, for example resnet-56"
            ))
        };
        let other = |variant, depth| Ok(NetworkName { shortcut: Shortcut::None, depth, variant });
        match text {
            "vgg-16" => return other(Variant::Vgg, 16),
            "vgg-19" => return other(Variant::Vgg, 19),
            "googlenet" => return other(Variant::GoogLeNet, GOOGLENET_DEPTH),
            "googlenet-aux" => return other(Variant::GoogLeNetAuxiliary, GOOGLENET_DEPTH),
            _ => {}
        }
        let (text, variant) = text
            .strip_suffix("-v1.5")
            .map_or((text, Variant::Paper), |rest| (rest, Variant::StrideOn3x3));
        let (family, rest) = text.split_once('-').ok_or_else(unknown)?;
        let digits = rest.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let depth: u64 = digits.parse().map_err(|_| unknown())?;
        let shortcut = match (family, &rest[digits.len()..]) {
            ("plain", "") => Shortcut::None,
            ("resnet", "a") if depths::BOTTLENECK_DEPTHS.contains(&depth) => {
                return Err(bad_input(format!(
                    "{text}: write resnet-{depth}, which has option A on 32×32 images and option B on ImageNet"
                )));
            }
            ("resnet", "" | "a") => Shortcut::OptionA,
            ("resnet", "b") => Shortcut::OptionB,
            ("resnet", "c") => Shortcut::OptionC,
            ("highway", "") if variant == Variant::Paper => {
                depths::check_highway_depth(depth)?;
                return Ok(NetworkName { shortcut: Shortcut::Gate, depth, variant });
            }
            _ => return Err(unknown()),
        };
        if variant == Variant::StrideOn3x3 && !depths::BOTTLENECK_DEPTHS.contains(&depth) {
            return Err(bad_input(format!(
                "{text}-v1.5: only nets of bottlenecks have a v1.5: {}",
                list(&depths::BOTTLENECK_DEPTHS)
            )));
        }
        // The data set decides which of the two it is.
        if !depths::is_imagenet_depth(depth) {
            depths::check_cifar_depth(depth)?;
        }
        Ok(NetworkName { shortcut, depth, variant })
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
        for text in [
            "plain-8",
            "plain-20",
            "resnet-56",
            "resnet-1202",
            "resnet-20b",
            "resnet-20c",
            "highway-19",
            "plain-18",
            "resnet-34c",
            "resnet-50-v1.5",
            "vgg-19",
            "googlenet-aux",
        ] {
            assert_eq!(text.parse::<NetworkName>().unwrap().to_string(), text);
        }
        assert_eq!(
            "resnet-20a".parse::<NetworkName>().unwrap(),
            NetworkName::residual(20),
            "option A is the paper's on CIFAR-10"
        );
    }

    #[test]
    fn an_unknown_network_and_a_depth_that_is_not_6n_plus_2_are_refused() {
        for text in [
            "vgg-17",
            "highway-19-v1.5",
            "resnet-50-v1",
            "resnet",
            "resnet-",
            "resnet-x",
            "plain--8",
            "resnet20",
            "plain-20b",
            "resnet-20d",
            "resnet-20bb",
        ] {
            assert!(
                text.parse::<NetworkName>().unwrap_err().0.contains("unknown network"),
                "{text}"
            );
        }
        assert!(
            "resnet-34-v1.5"
                .parse::<NetworkName>()
                .unwrap_err()
                .0
                .contains("only nets of bottlenecks")
        );
        assert!("resnet-50a".parse::<NetworkName>().unwrap_err().0.contains("write resnet-50"));
        let message = "resnet-57".parse::<NetworkName>().unwrap_err().0;
        assert!(
            message.contains("6n+2") && message.contains("56") && message.contains("62"),
            "{message}"
        );
        assert!(
            "resnet-34-v1.5"
                .parse::<NetworkName>()
                .unwrap_err()
                .0
                .contains("only nets of bottlenecks have a v1.5: 50, 101, 152")
        );
        assert!(
            "plain-2".parse::<NetworkName>().is_err()
                && "highway-20".parse::<NetworkName>().is_err()
        );
    }
}
