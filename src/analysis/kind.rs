//! The kinds of analyses.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::analysis::images::Split;
use crate::random::{Purpose, Stream};

/// What can be looked at. The numbers are part of the random streams: do not renumber.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Standard deviations of the layers' responses (He et al. 2015, Figure 7).
    Responses = 0,
    /// Errors of the net without some of its blocks, or with blocks exchanged (Veit et al. 2016).
    Lesion = 1,
    /// Norms of gradients by depth, and how alike they are at different inputs (Balduzzi et al.
    /// 2017).
    Gradients = 2,
    /// The gradient that comes through paths of each length (Veit et al. 2016).
    Paths = 3,
    /// Loss over a plane through the weights (Li et al. 2018).
    Landscape = 4,
    /// Eigenvalues and trace of the loss's Hessian.
    Curvature = 5,
    /// Training error beside test error (He et al. 2015, section 4.2).
    Generalisation = 6,
}

impl Kind {
    /// All kinds, in the order in which `all` does them.
    pub const ALL: [Kind; 7] = [
        Kind::Responses,
        Kind::Lesion,
        Kind::Gradients,
        Kind::Paths,
        Kind::Landscape,
        Kind::Curvature,
        Kind::Generalisation,
    ];

    /// Its name: what the user writes, and what its files are called.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Responses => "responses",
            Kind::Lesion => "lesion",
            Kind::Gradients => "gradients",
            Kind::Paths => "paths",
            Kind::Landscape => "landscape",
            Kind::Curvature => "curvature",
            Kind::Generalisation => "generalisation",
        }
    }

    /// The random numbers of one of its draws; `index` is below 2^52.
    pub fn stream(self, seed: u64, index: u64) -> Stream {
        Stream::new(seed, Purpose::Analysis, (self as u64) << 52 | index)
    }

    /// The images that it looks at where nothing else is said, and the most of them.
    pub fn default_images(self) -> (Split, usize) {
        match self {
            Kind::Responses => (Split::Test, usize::MAX),
            Kind::Lesion => (Split::Test, 1000),
            Kind::Gradients => (Split::Train, 1024),
            Kind::Paths => (Split::Train, 1280),
            Kind::Landscape | Kind::Curvature => (Split::Train, 256),
            Kind::Generalisation => (Split::Both, usize::MAX),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
