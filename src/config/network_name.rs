//! Names of networks: `plain-20`, `resnet-56`, `resnet-56b`, `resnet-50-v1.5`,
//! `preact-resnet-110`, `highway-19`, `vgg-19`, `googlenet`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::depths;
use crate::config::depths::list;
use crate::config::shortcut::Shortcut;
use crate::config::suggestion::{did_you_mean, nearest};
use crate::error::{BadInput, bad_input};

/// Which of the paper's tables a network is from; the dataset decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Section 4.2: nets of 6n+2 layers for 32×32 images.
    Cifar,
    /// Table 1: nets of 18 to 152 layers for large images.
    Imagenet,
}

/// Which network. A plain net and its residual twin have the same depth and differ in the shortcut
/// alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NetworkName {
    /// `plain-N`: stacked layers without shortcuts.
    Plain {
        /// Weighted layers.
        depth: u64,
        /// Which layer of a bottleneck has the stride.
        stride: BottleneckStride,
    },
    /// `resnet-N`, `resnet-Nb`, `resnet-Nc`: the plain net with shortcuts.
    Residual {
        /// Weighted layers.
        depth: u64,
        /// How a shortcut joins maps of different dimensions.
        shortcut: Shortcut,
        /// Which layer of a bottleneck has the stride.
        stride: BottleneckStride,
    },
    /// `preact-resnet-N`: residual nets of pre-activation (He et al. 2016, arXiv 1603.05027).
    PreActivation {
        /// Weighted layers.
        depth: u64,
    },
    /// `highway-N`: highway nets (Srivastava et al., arXiv 1507.06228).
    Highway {
        /// Weighted layers, gates not counted.
        depth: u64,
    },
    /// `vgg-N` (Simonyan and Zisserman, arXiv 1409.1556).
    Vgg {
        /// Weighted layers.
        depth: u64,
    },
    /// `googlenet`, `googlenet-aux` (Szegedy et al., arXiv 1409.4842).
    GoogLeNet {
        /// Whether it has its two auxiliary classifiers, which are there in training only.
        auxiliary: bool,
    },
}

/// Which layer of a bottleneck has the stride. Nets without bottlenecks have the paper's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BottleneckStride {
    /// The first 1×1 layer (the paper's).
    First1x1,
    /// The 3×3 layer (torchvision's, "v1.5").
    Middle3x3,
}

/// Weighted layers of GoogLeNet, as its paper counts them.
const GOOGLENET_DEPTH: u64 = 22;

impl NetworkName {
    /// The plain net of `depth` layers.
    pub fn plain(depth: u64) -> NetworkName {
        NetworkName::Plain { depth, stride: BottleneckStride::First1x1 }
    }

    /// The residual net of `depth` layers with the paper's shortcuts (option A).
    pub fn residual(depth: u64) -> NetworkName {
        let stride = BottleneckStride::First1x1;
        NetworkName::Residual { depth, shortcut: Shortcut::OptionA, stride }
    }

    /// Weighted layers.
    pub fn depth(self) -> u64 {
        match self {
            NetworkName::Plain { depth, .. }
            | NetworkName::Residual { depth, .. }
            | NetworkName::PreActivation { depth }
            | NetworkName::Highway { depth }
            | NetworkName::Vgg { depth } => depth,
            NetworkName::GoogLeNet { .. } => GOOGLENET_DEPTH,
        }
    }

    /// The shortcut option in the name of a residual net; none in the names of other nets.
    pub fn shortcut(self) -> Option<Shortcut> {
        match self {
            NetworkName::Residual { shortcut, .. } => Some(shortcut),
            _ => None,
        }
    }

    /// A plain net with shortcuts (option A), a residual net without them; other nets have no twin.
    pub fn twin(self) -> Option<NetworkName> {
        match self {
            NetworkName::Plain { depth, stride } => {
                Some(NetworkName::Residual { depth, shortcut: Shortcut::OptionA, stride })
            }
            NetworkName::Residual { depth, stride, .. } => {
                Some(NetworkName::Plain { depth, stride })
            }
            _ => None,
        }
    }

    /// Whether the net is a residual one of the paper's, whatever its shortcut option.
    pub fn is_residual(self) -> bool {
        matches!(self, NetworkName::Residual { .. })
    }

    /// Whether the net is a plain one.
    pub fn is_plain(self) -> bool {
        matches!(self, NetworkName::Plain { .. })
    }

    /// Position in tables: first nets without shortcuts by depth, then residual nets by option and
    /// depth, those of pre-activation, highway nets.
    fn rank(self) -> (u8, u64, u8) {
        let depth = self.depth();
        match self {
            NetworkName::Plain { stride, .. } => (0, depth, stride as u8),
            NetworkName::Vgg { .. } => (0, depth, 2),
            NetworkName::GoogLeNet { auxiliary } => (0, depth, 3 + u8::from(auxiliary)),
            NetworkName::Residual { shortcut, stride, .. } => {
                (1 + shortcut as u8, depth, stride as u8)
            }
            NetworkName::PreActivation { .. } => (4, depth, 0),
            NetworkName::Highway { .. } => (5, depth, 0),
        }
    }
}

impl Ord for NetworkName {
    fn cmp(&self, other: &NetworkName) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for NetworkName {
    fn partial_cmp(&self, other: &NetworkName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = |stride| match stride {
            BottleneckStride::First1x1 => "",
            BottleneckStride::Middle3x3 => "-v1.5",
        };
        let text = match *self {
            NetworkName::Plain { depth, stride } => format!("plain-{depth}{}", ending(stride)),
            NetworkName::Residual { depth, shortcut, stride } => {
                let option = match shortcut {
                    Shortcut::OptionA => "",
                    Shortcut::OptionB => "b",
                    Shortcut::OptionC => "c",
                };
                format!("resnet-{depth}{option}{}", ending(stride))
            }
            NetworkName::PreActivation { depth } => format!("preact-resnet-{depth}"),
            NetworkName::Highway { depth } => format!("highway-{depth}"),
            NetworkName::Vgg { depth } => format!("vgg-{depth}"),
            NetworkName::GoogLeNet { auxiliary: false } => "googlenet".to_string(),
            NetworkName::GoogLeNet { auxiliary: true } => "googlenet-aux".to_string(),
        };
        formatter.pad(&text)
    }
}

impl FromStr for NetworkName {
    type Err = BadInput;

    fn from_str(text: &str) -> Result<NetworkName, BadInput> {
        let unknown = || {
            bad_input(format!(
                "unknown network \"{text}\"{}: write plain-N, resnet-N, resnet-Nb, resnet-Nc (shortcut options B and C), resnet-N-v1.5, preact-resnet-N, highway-19, highway-32, vgg-16, vgg-19 or googlenet, for example resnet-56",
                did_you_mean(nearest_name(text))
            ))
        };
        match text {
            "vgg-16" => return Ok(NetworkName::Vgg { depth: 16 }),
            "vgg-19" => return Ok(NetworkName::Vgg { depth: 19 }),
            "googlenet" => return Ok(NetworkName::GoogLeNet { auxiliary: false }),
            "googlenet-aux" => return Ok(NetworkName::GoogLeNet { auxiliary: true }),
            _ => {}
        }
        if let Some(depth) = text.strip_prefix("preact-resnet-") {
            let depth = depth.parse().map_err(|_| unknown())?;
            depths::check_preactivation_depth(depth)?;
            return Ok(NetworkName::PreActivation { depth });
        }
        let (text, stride) = match text.strip_suffix("-v1.5") {
            Some(rest) => (rest, BottleneckStride::Middle3x3),
            None => (text, BottleneckStride::First1x1),
        };
        let (family, rest) = text.split_once('-').ok_or_else(unknown)?;
        let digits = rest.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let depth: u64 = digits.parse().map_err(|_| unknown())?;
        let residual = |shortcut| NetworkName::Residual { depth, shortcut, stride };
        let name = match (family, &rest[digits.len()..]) {
            ("plain", "") => NetworkName::Plain { depth, stride },
            ("resnet", "a") if depths::BOTTLENECK_DEPTHS.contains(&depth) => {
                return Err(bad_input(format!(
                    "{text}: write resnet-{depth}, which has option A on 32×32 images and option B on ImageNet"
                )));
            }
            ("resnet", "" | "a") => residual(Shortcut::OptionA),
            ("resnet", "b") => residual(Shortcut::OptionB),
            ("resnet", "c") => residual(Shortcut::OptionC),
            ("highway", "") if stride == BottleneckStride::First1x1 => {
                depths::check_highway_depth(depth)?;
                return Ok(NetworkName::Highway { depth });
            }
            _ => return Err(unknown()),
        };
        if stride == BottleneckStride::Middle3x3 && !depths::BOTTLENECK_DEPTHS.contains(&depth) {
            return Err(bad_input(format!(
                "{text}-v1.5: only bottleneck networks have a v1.5: {}",
                list(&depths::BOTTLENECK_DEPTHS)
            )));
        }
        // The dataset decides which of the two it is.
        if !depths::is_imagenet_depth(depth) {
            depths::check_cifar_depth(depth)?;
        }
        Ok(name)
    }
}

/// The network that a mistyped name may mean: `resnet-20` for `resent20`.
fn nearest_name(typed: &str) -> Option<String> {
    let text = typed.to_lowercase();
    let letters = text.find(|letter: char| letter.is_ascii_digit()).unwrap_or(text.len());
    let (word, rest) = text.split_at(letters);
    let word = word.trim_end_matches(['-', '_', ' ']);
    let family =
        nearest(word, ["plain", "resnet", "preact-resnet", "highway", "vgg", "googlenet"])?;
    let name = if rest.is_empty() { family.to_string() } else { format!("{family}-{rest}") };
    // A name that is right as it was typed was not refused for its spelling.
    (name != typed && name.parse::<NetworkName>().is_ok()).then_some(name)
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
mod tests;
