//! What a residual net has and a plain net has not.

/// What joins the ends of each block (Figure 2 and section 3.3). The one value in which a plain and
/// a residual net differ is an `Option` of it: a plain net has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shortcut {
    /// The identity; where the map size halves, every second pixel, with zero channels added evenly
    /// before and after (option A). No parameters.
    OptionA,
    /// A 1×1 convolution where dimensions increase, the identity elsewhere (option B).
    OptionB,
    /// A 1×1 convolution everywhere (option C).
    OptionC,
}

impl Shortcut {
    /// Whether a block from `inputs` to `outputs` channels with this `stride` has a projection on
    /// its shortcut.
    pub fn projects(self, inputs: i64, outputs: i64, stride: i64) -> bool {
        match self {
            Shortcut::OptionA => false,
            Shortcut::OptionB => inputs != outputs || stride != 1,
            Shortcut::OptionC => true,
        }
    }
}
