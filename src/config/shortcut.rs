//! What a residual net has and a plain net has not.

/// What joins the ends of each block: the one value in which a plain and a residual net differ
/// (Figure 2 and section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shortcut {
    /// Nothing: the plain net.
    None,
    /// The identity; where the map size halves, every second pixel, with zero channels added evenly
    /// before and after (option A). No parameters.
    OptionA,
    /// A 1×1 convolution where dimensions increase, the identity elsewhere (option B).
    OptionB,
    /// A 1×1 convolution everywhere (option C).
    OptionC,
    /// A highway net's gate around each single layer: y = H(x)·T(x) + x·(1 - T(x)) (section 2).
    Gate,
}

impl Shortcut {
    /// Whether a block from `inputs` to `outputs` channels with this `stride` has a projection on
    /// its shortcut.
    pub fn projects(self, inputs: i64, outputs: i64, stride: i64) -> bool {
        match self {
            Shortcut::OptionB => inputs != outputs || stride != 1,
            Shortcut::OptionC => true,
            _ => false,
        }
    }
}
